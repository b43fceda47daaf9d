import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { DeniedError } from "../net/control-socket.ts";
import { ClientDoor, type UserRight } from "./client-door.ts";
import type { QueueArgs } from "./protocol.ts";

const UID = process.getuid?.() ?? -1;

let maildrop: string;
let asked: QueueArgs[];
let nowMs: number;
beforeEach(() => {
  maildrop = mkdtempSync(join(tmpdir(), "postern-door-"));
  [asked, nowMs] = [[], 1000];
});
afterEach(() => rmSync(maildrop, { recursive: true, force: true }));

function doorWith(change: { open?: boolean; allowed?: boolean; trusted?: readonly number[] } = {}): ClientDoor {
  const { open = false, allowed = true, trusted = [] } = change;
  return new ClientDoor({
    ...{ maildrop, clock: { ...systemClock, monotonic: () => nowMs }, trusted: new Set(trusted) },
    isOpen: () => open,
    userWith: (uid) => ({ uid, name: "tester" }),
    allows: async (_right: UserRight, { uid }) => allowed && uid === UID,
    queue: async (args) => {
      asked.push(args);
      return "answer";
    },
    pickup: async () => void asked.push({ op: "read", ids: [] }),
  });
}

async function wordOf(door: ClientDoor): Promise<string> {
  const answer = (await door.answer({ op: "list", args: {} })) as { prove: string };
  assert.match(answer.prove, /^[0-9a-f]{32}$/);
  return answer.prove;
}

function prove(word: string, content = word, mode = 0o640): void {
  writeFileSync(join(maildrop, word), content, { flag: "wx" });
  chmodSync(join(maildrop, word), mode);
}

const requests = [
  { op: "list", args: {}, want: { op: "list", ids: "ALL", limit: 200 } },
  {
    op: "list",
    args: { limit: 1e9, after: "4BE546B05396600" },
    want: { op: "list", ids: "ALL", after: "4BE546B05396600", limit: 200 },
  },
  {
    op: "shape",
    args: { shape: { nowMs: 7, by: "sender", queues: ["hold"], more: 1 } },
    want: { op: "shape", ids: "ALL", shape: { nowMs: 7, by: "sender", queues: ["hold"] } },
  },
  { op: "flush", args: {}, want: { op: "flush", ids: "ALL" } },
  { op: "flush", args: { id: "4BE546B05396600" }, want: { op: "flush", ids: ["4BE546B05396600"] } },
  { op: "flush-site", args: { site: "x.test" }, want: { op: "flush-site", ids: "ALL", site: "x.test" } },
];
for (const { op, args, want } of requests) {
  test(`everybody may ${op} ${JSON.stringify(args)} where the list says so`, async () => {
    assert.equal(await doorWith({ open: true }).answer({ op, args }), "answer");
    assert.deepEqual(asked, [want]);
  });
}

test("everybody may say that there is mail in the maildrop directory", async () => {
  await doorWith({ allowed: false }).answer({ op: "pickup", args: {} });
  assert.equal(asked.length, 1);
});

test("however often that is said, one look follows the one that runs", async () => {
  let looks = 0;
  let end: () => void = () => undefined;
  const slow = new ClientDoor({
    ...{ maildrop, clock: systemClock, trusted: new Set<number>(), isOpen: () => true },
    userWith: (uid) => ({ uid, name: undefined }),
    allows: async () => false,
    queue: async () => undefined,
    pickup: () => {
      looks++;
      return looks > 1 ? Promise.resolve() : new Promise((resolve) => (end = resolve));
    },
  });
  for (let i = 0; i < 100; i++) await slow.answer({ op: "pickup", args: {} });
  assert.equal(looks, 1);
  end();
  await systemClock.sleep(0);
  assert.equal(looks, 2);
});

const bad = [
  { op: "hold", args: { ids: "ALL" }, denied: true },
  { op: "queue", args: { op: "delete", ids: "ALL" }, denied: true },
  { op: "stop", args: {}, denied: true },
  { op: "list", args: { after: "x' OR 1" }, denied: false },
  { op: "shape", args: {}, denied: false },
  { op: "shape", args: { shape: { nowMs: 7, by: "x", queues: [] } }, denied: false },
  { op: "shape", args: { shape: { nowMs: "7", by: "sender", queues: [] } }, denied: false },
  { op: "shape", args: { shape: { nowMs: 7, by: "sender", queues: ["all"] } }, denied: false },
  { op: "flush", args: { id: 7 }, denied: false },
  { op: "flush-site", args: { site: "a b" }, denied: false },
  { op: "flush-site", args: {}, denied: false },
];
for (const { op, args, denied } of bad) {
  test(`nobody may ${op} ${JSON.stringify(args)} here`, async () => {
    const door = doorWith({ open: true });
    await assert.rejects(door.answer({ op, args }), (error) => error instanceof DeniedError === denied);
    assert.deepEqual(asked, []);
  });
}

test("a file that holds the word proves who asks, for further requests too; it is removed", async () => {
  const door = doorWith();
  const proof = await wordOf(door);
  prove(proof);
  assert.equal(await door.answer({ op: "list", args: { proof } }), "answer");
  assert.deepEqual(readdirSync(maildrop), []);
  assert.equal(await door.answer({ op: "flush", args: { proof } }), "answer");
});

test("who is known and not on the list is denied, in Postfix's words", async () => {
  const door = doorWith({ allowed: false });
  const proof = await wordOf(door);
  prove(proof);
  const says = (text: string) => (error: unknown) => error instanceof DeniedError && error.message === text;
  const user = `User tester(${UID}) is not allowed to`;
  await assert.rejects(door.answer({ op: "list", args: { proof } }), says(`${user} view the mail queue`));
  await assert.rejects(door.answer({ op: "flush", args: { proof } }), says(`${user} flush the mail queue`));
});

test("root and mail_owner are not asked for", async () => {
  const door = doorWith({ allowed: false, trusted: [UID] });
  const proof = await wordOf(door);
  prove(proof);
  assert.equal(await door.answer({ op: "list", args: { proof } }), "answer");
});

const forged: readonly { why: string; make: (word: string) => void }[] = [
  { why: "there is no file", make: () => undefined },
  { why: "another content", make: (word) => prove(word, "0".repeat(32)) },
  { why: "more behind the word", make: (word) => prove(word, `${word}x`) },
  { why: "others might have written to it", make: (word) => prove(word, word, 0o666) },
  { why: "the group might have written to it", make: (word) => prove(word, word, 0o660) },
  {
    why: "a symbolic link to somebody's file",
    make: (word) => {
      prove(`${word}.theirs`, word);
      symlinkSync(join(maildrop, `${word}.theirs`), join(maildrop, word));
    },
  },
  {
    why: "a hard link to somebody's file",
    make: (word) => {
      prove(`${word}.theirs`, word);
      linkSync(join(maildrop, `${word}.theirs`), join(maildrop, word));
    },
  },
  { why: "a FIFO", make: (word) => execFileSync("mkfifo", ["-m", "640", join(maildrop, word)]) },
  { why: "a directory", make: (word) => mkdirSync(join(maildrop, word), { mode: 0o640 }) },
];
for (const { why, make } of forged) {
  test(`no proof: ${why}`, { timeout: 10_000 }, async () => {
    const door = doorWith();
    const proof = await wordOf(door);
    make(proof);
    await assert.rejects(door.answer({ op: "list", args: { proof } }), DeniedError);
    // And the word is used up.
    rmSync(join(maildrop, proof), { recursive: true, force: true });
    prove(proof);
    assert.notEqual(await door.answer({ op: "list", args: { proof } }), "answer");
    assert.deepEqual(asked, []);
  });
}

test("a word of one's own is none; nor one that is too old, nor a path", async () => {
  const door = doorWith();
  prove("f".repeat(32));
  for (const proof of ["f".repeat(32), "../../etc/passwd", 7, null, {}]) {
    assert.match(JSON.stringify(await door.answer({ op: "list", args: { proof } })), /^\{"prove":/);
  }
  const old = await wordOf(door);
  prove(old);
  nowMs += 600_001;
  assert.match(JSON.stringify(await door.answer({ op: "list", args: { proof: old } })), /^\{"prove":/);
});

test("words are bounded: the oldest go", async () => {
  const door = doorWith();
  const first = await wordOf(door);
  for (let i = 0; i < 300; i++) await wordOf(door);
  prove(first);
  assert.match(JSON.stringify(await door.answer({ op: "list", args: { proof: first } })), /^\{"prove":/);
});
