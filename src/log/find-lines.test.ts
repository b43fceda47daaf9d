import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { linesWith, partsOfLog } from "./find-lines.ts";
import { parseLine } from "./parse-line.ts";

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "postern-find-"));
});
after(() => rmSync(directory, { recursive: true, force: true }));

async function found(word: string, name: string, from = 0): Promise<readonly (readonly [number, string])[]> {
  const part = partsOfLog(join(directory, name)).at(-1);
  assert.ok(part);
  const lines: (readonly [number, string])[] = [];
  for await (const { offset, text } of linesWith(word, part, from)) lines.push([offset, text]);
  return lines;
}

test("linesWith() gives each line once, with its place, however the file is cut into pieces", async () => {
  // Lines of many lengths, so that pieces of 1 MiB end anywhere in them.
  const lines = Array.from(
    { length: 60_000 },
    (_, i) => `${i} ${"x".repeat(i % 97)}${i % 1000 === 7 ? " WORD WORD" : ""}`,
  );
  const text = lines.join("\n");
  writeFileSync(join(directory, "plain"), text);
  writeFileSync(join(directory, "packed.gz"), gzipSync(text));
  const want = lines.filter((line) => line.endsWith("WORD"));
  for (const name of ["plain", "packed.gz"]) {
    const got = await found("WORD", name);
    assert.deepEqual(
      got.map(([, line]) => line),
      want,
    );
    assert.ok(got.every(([offset, line]) => text.startsWith(line, offset)));
  }
  const [, , third] = await found("WORD", "plain");
  assert.deepEqual((await found("WORD", "plain", third?.[0])).length, want.length - 2);
});

test("linesWith() bounds a line that does not end", async () => {
  writeFileSync(join(directory, "endless"), Buffer.concat([Buffer.alloc(5 << 20, "x"), Buffer.from(" WORD")]));
  const got = await found("WORD", "endless");
  assert.equal(got.length, 1);
  assert.ok((got[0]?.[1].length ?? 0) < 4 << 20);
});

test("partsOfLog() gives the log and what it was rotated to, oldest first, and nothing else", () => {
  const names = ["maillog.2.gz", "maillog.20261124-060000", "maillog-old.xz", "maillog"];
  for (const [i, name] of [...names, "maillogger", "other.maillog"].entries()) {
    writeFileSync(join(directory, name), "");
    utimesSync(join(directory, name), 1000 + i, 1000 + i);
  }
  const parts = partsOfLog(join(directory, "maillog"));
  assert.deepEqual(
    parts.map(({ path }) => path),
    names.map((name) => join(directory, name)),
  );
  assert.deepEqual(
    parts.map(({ compressed }) => compressed),
    ["gzip", undefined, "otherwise", undefined],
  );
  assert.deepEqual(partsOfLog(join(directory, "nowhere", "maillog")), []);
});

const LINES = [
  {
    line: "Nov  4 07:13:07 mail postfix/smtp[30970]: 17EB26B05390301: to=<a@b>",
    want: { time: "Nov  4 07:13:07", tag: "postfix/smtp", id: 30970, text: "17EB26B05390301: to=<a@b>" },
    why: "as postlogd writes it",
  },
  {
    line: "2026-11-24T07:13:07.123456+01:00 mail postfix/submission/smtpd[513]: warning: x",
    want: { time: "2026-11-24T07:13:07.123456+01:00", tag: "postfix/submission/smtpd", id: 513, text: "warning: x" },
    why: "as rsyslog writes it",
  },
  {
    line: '{"time":"2026-11-24T13:04:43.411Z","host":"m","tag":"postfix/smtp","id":6,"severity":"warning","text":"x"}',
    want: { time: "2026-11-24T13:04:43.411Z", tag: "postfix/smtp", id: 6, text: "warning: x" },
    why: "JSON",
  },
  { line: '{"time":"2026', want: undefined, why: "JSON that was cut" },
  { line: '{"time":"x","tag":1}', want: undefined, why: "JSON of somebody else" },
  { line: "Nov  4 07:13:07 mail kernel: x", want: undefined, why: "another program" },
  { line: "", want: undefined, why: "nothing" },
];
for (const { line, want, why } of LINES) test(`parseLine(): ${why}`, () => assert.deepEqual(parseLine(line), want));
