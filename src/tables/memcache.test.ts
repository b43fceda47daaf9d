import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { Log } from "../log/log.ts";
import { openMemcache } from "./memcache.ts";
import { formatGet, getParser, parseMemcacheKey } from "./memcache-wire.ts";
import { type LookupTable, TableError } from "./table.ts";
import { type RawPeerOptions, startRawPeer } from "./testdata/raw-peer.ts";

interface Setup extends RawPeerOptions {
  readonly cf?: string;
  readonly backup?: LookupTable;
}

async function open(t: TestContext, answer: (command: string) => string, setup: Setup = {}) {
  const peer = await startRawPeer(t, {
    onBytes(text, connection) {
      if (!text.endsWith("\r\n") || (text.startsWith("set ") && text.split("\r\n").length < 3)) return undefined;
      connection.send(answer(text));
      return true;
    },
    ...setup,
  });
  const server = setup.unix ? `unix:${peer.address}` : `inet:${peer.address}`;
  const cf = `memcache = ${server}\nretry_pause = 0\ntimeout = 1\n${setup.cf ?? ""}\n`;
  const { table, log } = openCf(cf, setup.backup);
  t.after(() => table.close?.());
  return { peer, table, log };
}

function openCf(cf: string, backup?: LookupTable) {
  const log: string[] = [];
  const table = openMemcache("memcache:/m.cf", "/m.cf", {
    files: { read: () => Buffer.from(cf) },
    configDirectory: "/",
    log: new Log({ sink: (record) => void log.push(record.text), now: () => 0, tag: "t", id: 1 }),
    tables: { open: () => backup ?? assert.fail("no backup is set") },
  });
  return { table, log };
}

const failure = (message: RegExp) => (error: unknown) => error instanceof TableError && message.test(error.message);
const value = (text: string, key = "key") => `VALUE ${key} 0 ${Buffer.byteLength(text)}\r\n${text}\r\nEND\r\n`;

const ANSWERS: { answer: string; want: string | undefined | RegExp; why: string }[] = [
  { answer: value("zwölf, 12"), want: "zwölf, 12", why: "found" },
  { answer: "END\r\n", want: undefined, why: "not found" },
  { answer: value("END"), want: "END", why: "a value that looks like an end" },
  { answer: "VALUE key 0 1 77\r\nx\r\nEND\r\n", want: "x", why: "with a cas number" },
  { answer: value("x", "other"), want: /another key/, why: "the answer to another question" },
  { answer: "SERVER_ERROR out of memory\r\n", want: /unexpected memcache server reply: SERVER_ERROR/, why: "error" },
  { answer: "\xff\x00\r\n", want: /unexpected memcache server reply/, why: "garbage" },
  { answer: "VALUE key 0 5\r\nxEND\r\nEND\r\n", want: /no line end behind the data/, why: "wrong length" },
  { answer: "VALUE key 0 -1\r\n\r\nEND\r\n", want: /unexpected/, why: "negative length" },
  { answer: "VALUE key 0 1\r\nx\r\nVALUE\r\n", want: /unexpected/, why: "no END" },
  { answer: `${value("x")}END\r\n`, want: /more than one answer/, why: "more than an answer" },
  { answer: value("x".repeat(10_240)), want: "x".repeat(10_240), why: "data_size_limit" },
  { answer: value("x".repeat(10_241)), want: /data_size_limit/, why: "over data_size_limit" },
  { answer: "x".repeat(1024 * 1024), want: /line_size_limit/, why: "1 MB without a line end" },
  { answer: value("a\r\nb"), want: /line end/, why: "a value of two lines" },
  { answer: value(""), want: /empty string result/, why: "empty value" },
];
for (const { answer, want, why } of ANSWERS) {
  for (const chunked of answer.length < 5000 && !/more than/.test(why) ? [false, true] : [false]) {
    test(`memcache: ${why}${chunked ? ", a byte at a time" : ""}`, async (t) => {
      const { table } = await open(t, () => answer, { chunked, unix: chunked });
      const asked = Promise.resolve(table.get("KEY"));
      if (want instanceof RegExp) await assert.rejects(asked, failure(want));
      else assert.equal(await asked, want);
    });
  }
}

const KEYS: { key: string; want: "asked" | "not found" | RegExp; why: string }[] = [
  { key: "\"*()\\%s'@x", want: "asked", why: "quotes and metacharacters are nothing to memcached" },
  { key: "zwölf@x", want: "asked", why: "UTF-8" },
  { key: "x".repeat(250), want: "asked", why: "250 bytes" },
  { key: "x".repeat(251), want: /longer than 250 bytes/, why: "251 bytes" },
  { key: "ö".repeat(126), want: /longer than 250 bytes/, why: "252 bytes" },
  { key: "a b", want: "not found", why: "blank" },
  { key: "a\r\nflush_all", want: "not found", why: "line end" },
  { key: "a\nget b", want: "not found", why: "LF" },
  { key: "a\tb", want: "not found", why: "TAB" },
  { key: "a\u00a0b", want: "not found", why: "every blank of Unicode, though memcached minds only ASCII's" },
  { key: "a\0b", want: /control character/, why: "NUL" },
  { key: "a\x1bb", want: /control character/, why: "ESC" },
  { key: "", want: "not found", why: "empty" },
];
for (const { key, want, why } of KEYS) {
  test(`memcache: key with ${why}`, async (t) => {
    const { peer, table } = await open(t, () => "END\r\n");
    if (want instanceof RegExp) await assert.rejects(async () => table.get(key), failure(want));
    else assert.equal(await table.get(key), undefined);
    const sent = Buffer.from(peer.received, "latin1").toString("utf8");
    assert.equal(sent, want === "asked" ? `get ${key.toLowerCase()}\r\n` : "");
    if (want === "asked") return;
    const backed = await open(t, () => "END\r\n", {
      cf: "backup = x:y",
      backup: { ref: "x:y", partialKeys: true, get: () => "from backup" },
    });
    assert.equal(await backed.table.get(key), key === "" ? undefined : "from backup");
    assert.equal(backed.peer.received, "");
  });
}

test("parseMemcacheKey() lets through nothing that could be more than one word", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const made = parseMemcacheKey(text);
      if ("problem" in made) return;
      assert.match(formatGet(made.key).toString("latin1"), /^get [^\x00-\x20\x7f]{1,250}\r\n$/);
    }),
    { numRuns: 1000 },
  );
});

test("getParser() waits on every beginning of an answer, and reads the whole", () => {
  const made = parseMemcacheKey("k");
  assert.ok("key" in made);
  const parse = getParser(made.key, { line: 1024, data: 1024 });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const whole = Buffer.from(value(text, "k"));
      for (let i = 0; i < whole.length; i++) assert.equal(parse(whole.subarray(0, i)).kind, "more");
      const reply = { kind: "found", value: text };
      assert.deepEqual(parse(whole), { kind: "reply", reply, length: whole.length });
    }),
    { numRuns: 50 },
  );
});

test("memcache: key_format and domain", async (t) => {
  const { peer, table } = await open(t, () => "END\r\n", {
    cf: "key_format = v:%u+%d+%1%%\ndomain = a.example b.example",
  });
  for (const key of ["U@A.example", "u@c.example", "a.example", "@a.example", "u"]) {
    assert.equal(await table.get(key), undefined);
  }
  assert.equal(peer.received, "get v:u+a.example+example%\r\n");
});

test("memcache: what only the backup has is stored, with flags and ttl", async (t) => {
  const store = new Map<string, string>();
  const asked: string[] = [];
  const backup: LookupTable = {
    ref: "x:y",
    partialKeys: true,
    get: (key) => {
      asked.push(key);
      return key === "Key" ? "from backup" : undefined;
    },
  };
  const answer = (command: string) => {
    const [, verb, key = "", data = ""] = /^(get|set) (\S+).*\r\n(?:(.*)\r\n)?$/.exec(command) ?? [];
    if (verb === "set") store.set(key, data);
    const stored = store.get(key);
    if (verb === "set") return "STORED\r\n";
    return stored === undefined ? "END\r\n" : value(stored, key);
  };
  const { peer, table } = await open(t, answer, { cf: "backup = x:y\nttl = 60\nflags = 7", backup });
  assert.equal(await table.get("Key"), "from backup");
  assert.equal(await table.get("Key"), "from backup");
  assert.equal(await table.get("other"), undefined);
  assert.deepEqual(asked, ["Key", "other"], "the second time the cache answers");
  assert.match(peer.received, /set key 7 60 11\r\nfrom backup\r\n/);
});

test("memcache: without a server the backup answers, and without a backup nobody", async (t) => {
  const { peer, table, log } = await open(t, () => "END\r\n", {
    cf: "backup = x:y",
    backup: { ref: "x:y", partialKeys: true, get: () => "from backup" },
  });
  await peer.stop();
  assert.equal(await table.get("key"), "from backup");
  assert.match(log.join("\n"), /lookup error: connect to server: Connection refused; asking the backup/);
  const alone = await open(t, () => "END\r\n");
  await alone.peer.stop();
  await assert.rejects(async () => alone.table.get("key"), failure(/Connection refused/));
  await alone.peer.start();
  assert.equal(await alone.table.get("key"), undefined);
});

test("memcache: an error of the backup is an error", async (t) => {
  const backup: LookupTable = {
    ref: "x:y",
    partialKeys: true,
    get: () => Promise.reject(new TableError("backup is down")),
  };
  const { table } = await open(t, () => "END\r\n", { cf: "backup = x:y", backup });
  await assert.rejects(async () => table.get("key"), failure(/backup is down/));
});

test("memcache: a command is tried max_try times", async (t) => {
  let count = 0;
  const { table } = await open(t, () => (++count < 3 ? "SERVER_ERROR busy\r\n" : value("x")), { cf: "max_try = 3" });
  assert.equal(await table.get("key"), "x");
  count = -1;
  await assert.rejects(async () => table.get("key"), failure(/SERVER_ERROR busy/));
  assert.equal(count, 2);
});

test("memcache: silence is an error after max_try timeouts", async (t) => {
  const { table, peer } = await open(t, () => "", { cf: "max_try = 1" });
  await assert.rejects(async () => table.get("key"), failure(/no answer within 1 seconds/));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(peer.open, 0);
});

const BAD: { cf: string; want: RegExp }[] = [
  { cf: "memcache = localhost", want: /bad server "localhost": specify inet:host:port/ },
  { cf: "memcache = inet:h:memcache", want: /port number/ },
  { cf: "max_try = 0", want: /line 1: invalid max_try parameter value 0 < 1/ },
  { cf: "timeout = 1s", want: /bad numerical/ },
  { cf: "key_format = %x", want: /key_format/ },
  { cf: "backup = proxy:memcache:/m.cf", want: /persistent table/ },
];
for (const { cf, want } of BAD) test(`memcache: ${cf}`, () => assert.throws(() => openCf(cf), failure(want)));

test("memcache: a mistyped setting is named with its line", () => {
  assert.match(openCf("timeuot = 1").log.join("\n"), /\/m.cf, line 1: unknown setting "timeuot" is ignored/);
});
