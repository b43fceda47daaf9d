/** memcache: tables with a real memcached: answers, a backup behind the cache, hostile keys, a server that ends and comes back. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createConnection } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Log } from "../../src/log/log.ts";
import { createTableOpener } from "../../src/tables/open.ts";
import { type LookupTable, TableError } from "../../src/tables/table.ts";
import { eventually } from "../testbed/eventually.ts";
import { freePort } from "../testbed/server.ts";

const NOBODY = 65534;
const START_TIMEOUT_MS = 10_000;

describe("a real memcached", { concurrency: false, timeout: 60_000 }, () => {
  const opened: LookupTable[] = [];
  let port = 0;
  let child: ChildProcess | undefined;

  before(async () => {
    port = await freePort();
    await start();
  });
  afterEach(async () => {
    for (const table of opened.splice(0)) await table.close?.();
  });
  after(() => stop());

  async function start(): Promise<void> {
    const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    child = spawn("/usr/bin/memcached", ["-l", "127.0.0.1", "-p", String(port), "-m", "8"], {
      ...identity,
      stdio: "ignore",
    });
    for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end; await sleep(20)) {
      if ((await command("version").catch(() => "")).startsWith("VERSION")) return;
    }
    throw new Error("memcached is not ready");
  }

  async function stop(): Promise<void> {
    const ended = new Promise((resolve) => child?.once("exit", resolve));
    child?.kill("SIGKILL");
    await ended;
  }

  /** One command; resolves to the reply. */
  function command(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(port, "127.0.0.1", () => socket.write(`${text}\r\n`));
      socket.once("data", (bytes) => {
        socket.destroy();
        resolve(bytes.toString());
      });
      socket.once("error", reject);
    });
  }

  const store = async (key: string, value: string) =>
    assert.equal(await command(`set ${key} 0 0 ${Buffer.byteLength(value)}\r\n${value}`), "STORED\r\n");
  const open = (settings: string): LookupTable => {
    const log = new Log({ sink: () => undefined, now: Date.now, tag: "t", id: 0 });
    const text = `memcache = inet:127.0.0.1:${port}\nretry_pause = 0\n${settings}\n`;
    const read = () => Buffer.from(text);
    const table = createTableOpener({ files: { read }, log, configDirectory: "/" }).open("memcache:/t.cf");
    opened.push(table);
    return table;
  };

  test("found, not found, key_format, any case", async () => {
    await store("one@example.org", "first");
    await store("mail:two@example.org", "second");
    assert.equal(await open("").get("one@example.org"), "first");
    assert.equal(await open("").get("One@Example.ORG"), "first");
    assert.equal(await open("").get("none@example.org"), undefined);
    assert.equal(await open("key_format = mail:%s").get("two@example.org"), "second");
  });

  test("hostile keys are one word or nothing: no other command reaches the server", async () => {
    const table = open("");
    for (const key of [
      "a\r\nflush_all",
      "a b",
      "one@example.org\r\nget x",
      "a\0b",
      "\t",
      "x".repeat(300),
      "ü@x.test",
    ]) {
      const answer = await Promise.resolve(table.get(key)).catch((error: unknown) => error);
      assert.ok(answer === undefined || answer instanceof TableError, JSON.stringify(key));
    }
    assert.equal(await table.get("one@example.org"), "first");
  });

  test("what the backup knows is put into the cache", async () => {
    const table = open("backup = inline:{three@example.org=third}\nttl = 60");
    assert.equal(await table.get("three@example.org"), "third");
    await eventually(async () => assert.match(await command("get three@example.org"), /third/));
  });

  test("a server that ends: an error, or the backup's answer; then it is used again", async () => {
    const [alone, backed] = [open("max_try = 1"), open("max_try = 1\nbackup = inline:{four@example.org=fourth}")];
    assert.equal(await alone.get("one@example.org"), "first");
    await stop();
    await assert.rejects(async () => alone.get("one@example.org"), TableError);
    assert.equal(await backed.get("four@example.org"), "fourth");
    await start();
    await store("one@example.org", "again");
    await eventually(async () => assert.equal(await alone.get("one@example.org"), "again"));
  });
});
