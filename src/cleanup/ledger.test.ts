/** cleanup/ledger.test.ts: what is kept of the changes to a message, wherever they come from. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createResolver } from "../rewrite/create.ts";
import { createMappings } from "../rewrite/mappings.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { createContentChecks } from "./content-checks.ts";
import { Ledger } from "./ledger.ts";
import { type Submission, submit } from "./testdata/submit.ts";

const COMPLETE = "From: a@x.test\r\nMessage-Id: <1@x.test>\r\nDate: Tue, 24 Nov 2026 07:00:00 +0100\r\n";

/** Cleanup with the tables that the settings name. */
function configured(settings: Readonly<Record<string, string>>): Submission {
  const params = parametersOf({ myorigin: "o.test", mydomain: "example.org", ...settings });
  const files = {
    read(path: string): Uint8Array {
      throw new TableError(`open ${path}: No such file or directory`);
    },
  };
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const mappings = createMappings(params, { tables, resolver });
  const checks = createContentChecks(params, tables);
  return { settings, deps: { checks, mapping: { mappings, rewrite: (address) => resolver.rewrite(address) } } };
}

const CASES: readonly (Submission & { readonly in: string; readonly want: readonly string[]; readonly why: string })[] =
  [
    { in: COMPLETE, want: [], why: "MOD-13: nothing was touched" },
    {
      in: "Subject: x\r\n",
      want: [
        "Message-Id added (missing; submission)",
        "Date added (missing; submission)",
        "From added (missing; submission)",
      ],
      why: "MOD-13: completed",
    },
    {
      in: `Bcc: b@x.test\r\nReturn-Path: <a@x.test>\r\n${COMPLETE}`,
      want: [
        "Bcc removed (never sent; message_drop_headers)",
        "Return-Path removed (never sent; message_drop_headers)",
      ],
      why: "MOD-13, MOD-15, TRC-07: dropped",
    },
    {
      in: COMPLETE,
      options: { prepend: ["X-One: 1"] },
      want: ["X-One added (asked for by a restriction; PREPEND)"],
      why: "PREPEND of a restriction",
    },
    {
      in: `Subject: a\r\nX-Go: 1\r\nX-Two: 1\r\n${COMPLETE}`,
      ...configured({
        header_checks: "pcre:{ {/^Subject: a/ REPLACE Subject: b} {/^X-Go:/ IGNORE} {/^X-Two:/ PREPEND X-One: 1} }",
      }),
      want: [
        "Subject replaced (matched; header_checks)",
        "X-Go removed (matched; header_checks)",
        "X-One added (matched; header_checks)",
      ],
      why: "header_checks",
    },
    {
      in: COMPLETE,
      ...configured({ body_checks: "pcre:{ {/^text/ REPLACE words} }" }),
      want: ["body changed (matched; body_checks)"],
      why: "body_checks",
    },
    {
      in: `To: b@x.test\r\n${COMPLETE}`,
      ...configured({ canonical_maps: "inline:{ {b@x.test = c@y.test} }" }),
      want: ["To replaced (address rewritten; address rewriting)"],
      why: "canonical_maps",
    },
    {
      in: `From: a@x.test\r\nDate: x\r\nMessage-Id: <1@x.test>\r\n`,
      want: ["Date replaced (Date is not in the form of RFC 5322: x; date:fix)"],
      why: "MOD-05: a check that mends",
    },
    {
      in: `X-Long: ${"y".repeat(300)}\u0001\r\n${COMPLETE}`,
      ...configured({ header_checks: "pcre:{ {/^X-Long:/ IGNORE} }" }),
      want: ["X-Long removed (matched; header_checks)"],
      why: "names only, no values",
    },
  ];
for (const { in: header, want, why, ...given } of CASES) {
  test(`the ledger of a message: ${why}`, async () => {
    const { envelope, log, result } = await submit(`${header}\r\ntext\r\n`, given);
    assert.equal(result, "queued");
    const told = envelope?.changes?.list.map((change) => `${change.what} (${change.why}; ${change.rule})`) ?? [];
    assert.deepEqual(told, want);
    const lines = log.filter((line) => line.includes(": changes: "));
    assert.deepEqual(lines, want.length === 0 ? [] : [`1E2406B0527E000: changes: ${want.join(", ")}`]);
    const silent = await submit(`${header}\r\ntext\r\n`, {
      ...given,
      settings: { ...given.settings, postern_log_changes: "no" },
    });
    assert.ok(!silent.log.some((line) => line.includes("changes:")));
    assert.deepEqual(silent.envelope?.changes, envelope?.changes);
  });
}

const TOLD = [
  { in: COMPLETE, want: "X-Postern-Changes: none", why: "nothing was touched" },
  {
    in: `Bcc: b@x.test\r\n${COMPLETE}Date: Tue, 24 Nov 2026 07:00:00 +0100\r\n`,
    want: "X-Postern-Changes: Date removed (duplicate:fix),\r\n\tBcc removed (message_drop_headers)",
    why: "changes",
  },
];
for (const { in: header, want, why } of TOLD) {
  test(`postern_modification_header tells the next hop (MOD-13): ${why}`, async () => {
    const settings = { postern_modification_header: "yes" };
    const { fields } = await submit(`${header}\r\ntext\r\n`, { settings });
    assert.equal(fields.at(-1), want);
    const passing = await submit(`${header}\r\ntext\r\n`, { settings, options: { role: "mx" } });
    assert.ok(!passing.fields.some((field) => field.startsWith("X-Postern")));
  });
}

test("a ledger is bounded: the rest is counted, texts are cut and printable", async () => {
  const ledger = new Ledger();
  for (let i = 0; i < 100_000; i++)
    ledger.record(`Subject \u001b${"x".repeat(1000)}`, { why: "w\r\n".repeat(900), rule: "r" });
  const { list = [], omitted } = ledger.changes ?? {};
  assert.equal(list.length + (omitted ?? 0), 100_000);
  assert.ok(list.length <= 50 && JSON.stringify(list).length < 20_000);
  assert.ok(list.every(({ what, why }) => /^[\x20-\x7e]*$/.test(what + why)));
  const { envelope, log } = await submit(`${"Bcc: x@y.test\r\n".repeat(100)}${COMPLETE}\r\n`);
  assert.equal(envelope?.changes?.list.length, 32);
  assert.equal(envelope?.changes?.omitted, 68);
  assert.match(log.join("\n"), /changes: .*, 68 more$/m);
});

const field = (name: string) => ({ name, text: `${name}: x` });
const [a, b, c, d] = [field("a"), field("b"), field("c"), field("d")];
const [a2, b2, c2] = [field("a"), field("b"), field("c")];
const COMPARED = [
  { before: [a, b, c], after: [a, b, c], want: [], why: "nothing" },
  { before: [a, b, c], after: [a, b2, c], want: ["b replaced"], why: "one in its place" },
  { before: [a, b, c], after: [a2, b, c2], want: ["a replaced", "c replaced"], why: "some in their places" },
  { before: [a, b, c], after: [a, c], want: ["b removed"], why: "one left out" },
  { before: [a, b, c, d], after: [b, d], want: ["a removed", "c removed"], why: "several left out" },
  { before: [a, b], after: [a, c, b, d], want: ["c added", "d added"], why: "some more" },
  { before: [a, b, c], after: [c, b, a], want: [], why: "another order" },
  { before: [a, a2, b], after: [b2, a2], want: ["a removed", "b replaced"], why: "all together" },
  { before: [a, b], after: [c, d], want: ["a removed", "b removed", "c added", "d added"], why: "others" },
  { before: [], after: [a], want: ["a added"], why: "the first" },
  { before: [a], after: [], want: ["a removed"], why: "the last" },
];
for (const { before, after, want, why } of COMPARED) {
  test(`Ledger.compare() ${why}`, () => {
    const ledger = new Ledger();
    ledger.compare(before, after, { why: "w", rule: "r" });
    assert.deepEqual(ledger.changes?.list.map(({ what }) => what) ?? [], want);
  });
}
