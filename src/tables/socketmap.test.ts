import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { formatSocketmapRequest, openSocketmap, parseSocketmapReply } from "./socketmap.ts";
import { TableError } from "./table.ts";
import { type RawPeerOptions, startRawPeer } from "./testdata/raw-peer.ts";

const netstring = (text: string) => `${Buffer.byteLength(text)}:${text},`;

async function open(
  t: TestContext,
  answer: (request: string) => string,
  more: RawPeerOptions & { timeoutMs?: number } = {},
) {
  const peer = await startRawPeer(t, {
    onBytes(text, connection) {
      const [head, digits] = /^(\d+):/.exec(text) ?? [];
      if (head === undefined || text.length <= head.length + Number(digits)) return undefined;
      connection.send(answer(text));
      return true;
    },
    ...more,
  });
  const name = more.unix ? `unix:${peer.address}:users` : `inet:${peer.address}:users`;
  const timeoutMs = more.timeoutMs === undefined ? {} : { timeoutMs: more.timeoutMs };
  const table = openSocketmap(`socketmap:${name}`, name, timeoutMs);
  t.after(() => table.close?.());
  return { peer, table };
}

const failure = (message: RegExp) => (error: unknown) => error instanceof TableError && message.test(error.message);

const ANSWERS: { answer: string; want: string | undefined | RegExp; why: string }[] = [
  { answer: netstring("OK zwölf, 12"), want: "zwölf, 12", why: "found" },
  { answer: netstring("NOTFOUND "), want: undefined, why: "not found" },
  { answer: netstring("NOTFOUND"), want: undefined, why: "not found, without the blank" },
  { answer: netstring("TEMP try later"), want: /socketmap server temporary error: try later/, why: "TEMP" },
  { answer: netstring("TIMEOUT slow"), want: /socketmap server timeout error: slow/, why: "TIMEOUT" },
  { answer: netstring("PERM no such map"), want: /socketmap server permanent error: no such map/, why: "PERM" },
  { answer: netstring("PERM"), want: /socketmap server permanent error$/, why: "no reason" },
  { answer: netstring("WHAT ever"), want: /socketmap server unknown error: WHAT ever/, why: "unknown word" },
  { answer: netstring("ok x"), want: /unknown error/, why: "words are in capitals" },
  { answer: netstring(""), want: /unknown error/, why: "empty answer" },
  { answer: netstring("OK "), want: /empty string result/, why: "empty value" },
  { answer: netstring("OK a\nb"), want: /line end/, why: "a value with a line end" },
  { answer: netstring("OK a\0b"), want: /NUL/, why: "a value with a NUL" },
  { answer: "4:OK x;", want: /no comma/, why: "bad end" },
  { answer: "04:OK x,", want: /bad netstring/, why: "leading zero" },
  { answer: "OK x\n", want: /bad netstring/, why: "no netstring" },
  { answer: "\xff\x00\x01", want: /bad netstring/, why: "garbage" },
  { answer: "99999999999:", want: /bad netstring/, why: "huge length" },
  { answer: "100001:", want: /longer than 100000/, why: "over the limit is refused before it arrives" },
  { answer: netstring(`OK ${"x".repeat(99_997)}`), want: "x".repeat(99_997), why: "100000 bytes" },
  { answer: "x".repeat(1024 * 1024), want: /bad netstring/, why: "1 MB" },
  { answer: netstring("OK a") + netstring("OK b"), want: /more than one answer/, why: "two answers" },
];
for (const { answer, want, why } of ANSWERS) {
  for (const chunked of answer.length < 10_000 && why !== "two answers" ? [false, true] : [false]) {
    test(`socketmap: ${why}${chunked ? ", a byte at a time" : ""}`, async (t) => {
      const { table } = await open(t, () => answer, { chunked, unix: chunked });
      const asked = Promise.resolve(table.get("key"));
      if (want instanceof RegExp) await assert.rejects(asked, failure(want));
      else assert.equal(await asked, want);
    });
  }
}

test("socketmap: every key is one netstring", async (t) => {
  const { peer, table } = await open(t, () => netstring("NOTFOUND "));
  const keys = ["a\nb", "a\r\n\0b", ",5:users", "12:users admin,", "a b", "zwölf", "*()\\", "%s", ""];
  for (const key of keys) assert.equal(await table.get(key), undefined);
  const want = keys.map((key) => netstring(`users ${key}`)).join("");
  assert.equal(Buffer.from(peer.received, "latin1").toString("utf8"), want);
});

test("formatSocketmapRequest() says the length of what it holds", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (key) => {
      const request = formatSocketmapRequest("m", key);
      const colon = request.indexOf(":");
      const length = Number(request.toString("latin1", 0, colon));
      assert.equal(request.length, colon + 1 + length + 1);
      assert.equal(request.toString("utf8", colon + 1, colon + 1 + length), `m ${key.toWellFormed()}`);
    }),
  );
});

test("parseSocketmapReply() waits on every beginning of an answer, and reads the whole", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (value) => {
      const whole = Buffer.from(netstring(`OK ${value}`));
      for (let i = 0; i < whole.length; i++) assert.equal(parseSocketmapReply(whole.subarray(0, i)).kind, "more");
      assert.deepEqual(parseSocketmapReply(whole), {
        kind: "reply",
        reply: { kind: "found", value },
        length: whole.length,
      });
    }),
    { numRuns: 50 },
  );
});

test("socketmap: silence is an error within the time limit, and the next question gets its own answer", async (t) => {
  let silent = true;
  const { table } = await open(t, (request) => (silent ? "" : netstring(`OK ${request}`)), { timeoutMs: 80 });
  await assert.rejects(async () => table.get("a"), failure(/no answer within/));
  silent = false;
  assert.equal(await table.get("b"), "7:users b,");
});

test("socketmap: a server that restarts is found again", async (t) => {
  const { peer, table } = await open(t, () => netstring("OK x"), { unix: true });
  assert.equal(await table.get("a"), "x");
  await peer.stop();
  await assert.rejects(async () => table.get("a"), failure(/connect to server: No such file or directory/));
  await peer.start();
  assert.equal(await table.get("a"), "x");
});

for (const name of ["", "users", "inet:h:1", "inet:h:1:", "inet:h:x:users", "unix:relative:users", "h:1:users"]) {
  test(`socketmap: "${name}" is no server and map`, () => {
    assert.throws(() => openSocketmap("socketmap:x", name, {}), TableError);
  });
}

test("socketmap: IPv6 addresses stand in brackets", async () => {
  const table = openSocketmap("socketmap:x", "inet:[::1]:1:users", {});
  await assert.rejects(async () => table.get("a"), failure(/connect to server: /));
});
