import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { TableError } from "./table.ts";
import { formatTcpRequest, openTcp, parseTcpReply } from "./tcp.ts";
import { type RawPeerOptions, startRawPeer } from "./testdata/raw-peer.ts";

/** A server that answers each line, and a table that asks it. */
async function open(
  t: TestContext,
  answer: (line: string) => string,
  more: RawPeerOptions & { timeoutMs?: number } = {},
) {
  const peer = await startRawPeer(t, {
    onBytes(text, connection) {
      if (!text.endsWith("\n")) return undefined;
      connection.send(answer(text.slice(0, -1)));
      return true;
    },
    ...more,
  });
  const timeoutMs = more.timeoutMs === undefined ? {} : { timeoutMs: more.timeoutMs };
  const table = openTcp(`tcp:${peer.address}`, peer.address, timeoutMs);
  t.after(() => table.close?.());
  return { peer, table };
}

const failure = (message: RegExp) => (error: unknown) => error instanceof TableError && message.test(error.message);

const ANSWERS: { answer: string; want: string | undefined | RegExp; why: string }[] = [
  { answer: "200 OK\n", want: "OK", why: "found" },
  { answer: "200 a%20b%25%0ac\n", want: /line end/, why: "a coded line end would break what it is put into" },
  { answer: "200 a%20b%25c zw%C3%B6lf\n", want: "a b%c zwölf", why: "coded bytes are UTF-8, blanks need no code" },
  { answer: "200 OK\r\n", want: "OK", why: "CR before the end" },
  { answer: "500 nothing\n", want: undefined, why: "not found" },
  { answer: "500\n", want: undefined, why: "not found without text" },
  { answer: "400 database is down\n", want: /reports an error: database is down/, why: "temporary error" },
  { answer: "200 \n", want: /empty string result/, why: "an empty value is an error, as in maps(3)" },
  { answer: "200 a%2\n", want: /bad %XX/, why: "half a code" },
  { answer: "200OK\n", want: /bad answer/, why: "no blank" },
  { answer: "250 OK\n", want: /bad answer/, why: "unknown status" },
  { answer: "\n", want: /bad answer/, why: "empty line" },
  { answer: "\x00\xff\x01garbage\x80\n", want: /bad answer: /, why: "garbage" },
  { answer: `200 ${"x".repeat(4091)}\n`, want: "x".repeat(4091), why: "4096 bytes with the end" },
  { answer: `200 ${"x".repeat(4092)}\n`, want: /longer than 4096/, why: "one more" },
  { answer: `200 ${"x".repeat(1024 * 1024)}`, want: /longer than 4096/, why: "1 MB without an end" },
  { answer: "200 OK\n200 OK\n", want: /more than one answer/, why: "two answers" },
];
for (const { answer, want, why } of ANSWERS) {
  for (const chunked of answer.length < 10_000 ? [false, true] : [false]) {
    test(`tcp: ${why}${chunked ? ", a byte at a time" : ""}`, async (t) => {
      // A second answer that comes later than the first one ends the connection instead: see below.
      const { table } = await open(t, () => answer, { chunked: chunked && why !== "two answers" });
      const asked = Promise.resolve(table.get("key"));
      if (want instanceof RegExp) await assert.rejects(asked, failure(want));
      else assert.equal(await asked, want);
    });
  }
}

test("tcp: every key is one line, whatever it holds", async (t) => {
  const { peer, table } = await open(t, () => "500 no\n");
  for (const key of ["a\nget b", "a\r\nget b", "a\0b", "100%", '"a b"@c', "*()\\", "zwölf", "", "%0a", "\ud800"]) {
    assert.equal(await table.get(key), undefined);
  }
  assert.deepEqual(peer.received.split("\n").slice(0, -1), [
    "get a%0Aget%20b",
    "get a%0D%0Aget%20b",
    "get a%00b",
    "get 100%25",
    'get "a%20b"@c',
    "get *()\\",
    "get zw%C3%B6lf",
    "get ",
    "get %250a",
    "get %EF%BF%BD",
  ]);
});

test("formatTcpRequest() makes one printable line that decodes to the key", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (key) => {
      const line = formatTcpRequest(key).toString("latin1");
      assert.match(line, /^get [!-~]*\n$/);
      const parsed = parseTcpReply(Buffer.from(`200 ${line.slice(4)}`, "latin1"));
      if (line.length > 4000) return;
      assert.equal(parsed.kind === "reply" && parsed.reply.kind === "found" && parsed.reply.value, key.toWellFormed());
    }),
  );
});

test("tcp: one connection for questions in turn, few for many at once", async (t) => {
  const { peer, table } = await open(t, (line) => `200 ${line.slice(4)}\n`);
  for (const key of ["a", "b", "c"]) assert.equal(await table.get(key), key);
  assert.equal(peer.connections, 1);
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  assert.deepEqual(await Promise.all(keys.map((key) => table.get(key))), keys);
  assert.ok(peer.connections <= 4, `${peer.connections}`);
});

test("tcp: nothing is connected before the first question, and nothing after close()", async (t) => {
  const { peer, table } = await open(t, () => "200 x\n");
  assert.equal(peer.connections, 0);
  assert.equal(await table.get("a"), "x");
  await table.close?.();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(peer.open, 0);
  await assert.rejects(async () => table.get("a"), failure(/closed/));
});

test("tcp: a server that went away is an error, and is found again by itself", async (t) => {
  const { peer, table } = await open(t, () => "200 x\n");
  assert.equal(await table.get("a"), "x");
  await peer.stop();
  await assert.rejects(async () => table.get("a"), failure(/connect to server: Connection refused/));
  await peer.start();
  assert.equal(await table.get("a"), "x");
});

test("tcp: an old connection that has ended costs no question", async (t) => {
  let dropped = 0;
  const { peer, table } = await open(t, () => "", {
    onBytes(text, connection) {
      if (!text.endsWith("\n")) return undefined;
      // The first connection answers once and ends at the second question.
      if (peer.connections === 1 && dropped++ > 0) connection.drop();
      else connection.send("200 x\n");
      return true;
    },
  });
  assert.equal(await table.get("a"), "x");
  assert.equal(await table.get("a"), "x");
  assert.equal(peer.connections, 2);
});

test("tcp: an end in the middle of an answer is an error", async (t) => {
  const { table } = await open(t, () => "", {
    onBytes(_, connection) {
      connection.send("200 hal");
      connection.end();
      return true;
    },
  });
  await assert.rejects(async () => table.get("a"), failure(/connection closed in the middle of an answer/));
});

test("tcp: a server that is silent, or never ends its answer, is an error within the time limit", async (t) => {
  for (const answer of ["", "200 x"]) {
    const { table, peer } = await open(t, () => answer, { timeoutMs: 100 });
    const all = await Promise.allSettled(Array.from({ length: 9 }, (_, i) => table.get(`k${i}`)));
    for (const one of all)
      assert.ok(one.status === "rejected" && failure(/no answer within 0.1 s/)(one.reason), one.status);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(peer.open, 0, "a late answer reaches nobody");
  }
});

test("tcp: what comes without a question ends the connection and answers nobody", async (t) => {
  const { peer, table } = await open(t, (line) => `200 ${line.slice(4)}\n`, {
    onConnect: (connection) => void setTimeout(() => connection.send("200 evil\n"), 20),
  });
  assert.equal(await table.get("a"), "a");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(await table.get("b"), "b");
  assert.equal(peer.connections, 2);
});

for (const name of ["", "host", "host:", "host:smtp", "host:0", "host:70000", "a b:1", "::1:25"]) {
  test(`tcp: "${name}" names no server`, () => assert.throws(() => openTcp("tcp:x", name, {}), TableError));
}
