/** Tests of smtpd_command_filter. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { createCommandFilter } from "./command-filter.ts";
import { hideInitialResponse } from "./commands/auth.ts";

const TABLE = "inline:{ { helo = HELO x }, { RCPT TO:a = RCPT TO:<a> } }";

const cases = [
  {
    filter: TABLE,
    line: "HELO",
    want: "HELO x",
    log: 'replacing command "HELO" with "HELO x"',
    why: "as inline tables fold",
  },
  {
    filter: TABLE,
    line: "  RCPT TO:a",
    want: "RCPT TO:<a>",
    log: '"  RCPT TO:a"',
    why: "blanks in front do not count",
  },
  { filter: TABLE, line: "NOOP", want: "NOOP", log: undefined, why: "not in the table" },
  { filter: "fail:x", line: "NOOP", want: undefined, log: 'fail:x lookup error for "NOOP"', why: "cannot be asked" },
  {
    filter: "inline:{ { auth plain ywjj = AUTH PLAIN Yg== } }",
    line: "AUTH PLAIN YWJj",
    want: "AUTH PLAIN Yg==",
    log: '"AUTH PLAIN ********" with "AUTH PLAIN ********"',
    why: "no secrets in the log",
  },
];

for (const c of cases) {
  test(`createCommandFilter() ${c.why}: ${c.line}`, async () => {
    const lines: string[] = [];
    const log = new Log({ sink: (record) => lines.push(record.text), now: systemClock.now, tag: "t", id: 1 });
    const read = (path: string) => {
      throw new TableError(`no ${path}`);
    };
    const tables = createTableOpener({ files: { read }, log, configDirectory: "/c" });
    const params = parametersOf({ smtpd_command_filter: c.filter });
    const filter = createCommandFilter(params, { tables, hide: hideInitialResponse });
    assert.equal(await filter?.(c.line, { log, peer: "x[192.0.2.1]" }), c.want);
    const text = lines.join("\n");
    if (c.log === undefined) assert.equal(text, "");
    else assert.ok(text.includes(c.log), text);
  });
}

test("createCommandFilter() makes nothing where nothing is set", () => {
  const params = parametersOf({});
  const log = new Log({ sink: () => undefined, now: systemClock.now, tag: "t", id: 1 });
  const read = (path: string) => {
    throw new TableError(`no ${path}`);
  };
  const tables = createTableOpener({ files: { read }, log, configDirectory: "/c" });
  assert.equal(createCommandFilter(params, { tables, hide: hideInitialResponse }), undefined);
});
