/** Tests of control-socket.ts: one request is carried out once, and closing waits for answers but for nobody else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { askControl, type ControlRequest, FOR_EVERYBODY, serveControl } from "./control-socket.ts";

const root = mkdtempSync(join(tmpdir(), "postern-control-"));
after(() => rmSync(root, { recursive: true }));

test("serveControl() carries one request out, whatever comes behind it", async () => {
  const path = join(root, "once");
  const asked: string[] = [];
  let came: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (came = resolve));
  let finish: () => void = () => undefined;
  const door = await serveControl(path, FOR_EVERYBODY, async ({ op }: ControlRequest) => {
    asked.push(op);
    came();
    await new Promise<void>((resolve) => (finish = resolve));
    return op;
  });
  const socket = net.connect(path);
  socket.write('{"op":"one","args":{}}\n');
  await begun;
  for (let i = 0; i < 5; i++) {
    await new Promise<void>((resolve) => socket.write('{"op":"two","args":{}}\n', () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
  }
  finish();
  const [answer] = await once(socket, "data");
  assert.equal(String(answer), '{"ok":true,"value":"one"}\n');
  socket.destroy();
  await door.close();
  assert.deepEqual(asked, ["one"]);
});

test("serveControl() is closed although somebody is connected who says nothing", { timeout: 10_000 }, async () => {
  const path = join(root, "silent");
  let finish: () => void = () => undefined;
  let came: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (came = resolve));
  const door = await serveControl(path, FOR_EVERYBODY, async () => {
    came();
    await new Promise<void>((resolve) => (finish = resolve));
    return "done";
  });
  const silent = net.connect({ path, allowHalfOpen: true });
  await once(silent, "connect");
  const answer = askControl(path, { op: "slow", args: {} });
  await begun;
  const closed = door.close();
  await once(silent.resume(), "end");
  finish();
  assert.equal(await answer, "done", "an answer under way is given");
  await closed;
  silent.destroy();
});
