/** tables/text-table.test.ts: the text of a table, its lines as postmap(1) reads them, and which of text and index answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Log } from "../log/log.ts";
import { formatCdb } from "./cdb.ts";
import { createTableOpener } from "./open.ts";
import { sourceLines } from "./source-lines.ts";
import { TableError } from "./table.ts";
import { parseTextTable } from "./text.ts";

type Disk = Readonly<Record<string, { readonly content: string | Uint8Array; readonly modified: number }>>;

function open(ref: string, disk: Disk) {
  const warnings: string[] = [];
  const log = new Log({ sink: (record) => void warnings.push(record.text), now: () => 0, tag: "t", id: 1 });
  const files = {
    read(path: string) {
      const file = Object.hasOwn(disk, path) ? disk[path] : undefined;
      if (!file) throw new TableError(`open ${path}: No such file or directory`);
      if (file.content === "unreadable") throw new TableError(`open ${path}: Permission denied`);
      return Buffer.from(file.content);
    },
    modifiedMs: (path: string) => disk[path]?.modified,
  };
  return { table: createTableOpener({ files, log, configDirectory: "/" }).open(ref), warnings };
}

const index = (value: string) => formatCdb(new Map([["k", value]]));
const postfixCdb = (value: string) => formatCdb(new Map([["k\0", `${value}\0`]]));

const CHOICES: readonly { ref: string; disk: Disk; want: string; why: string }[] = [
  { ref: "hash:/t", disk: { "/t": { content: "k text", modified: 5 } }, want: "text", why: "no index" },
  {
    ref: "hash:/t",
    disk: { "/t": { content: "k text", modified: 5 }, "/t.postern-index": { content: index("index"), modified: 5 } },
    want: "index",
    why: "index as new as its text",
  },
  {
    ref: "btree:/t",
    disk: { "/t": { content: "k text", modified: 6 }, "/t.postern-index": { content: index("index"), modified: 5 } },
    want: "text",
    why: "an edit after postmap counts",
  },
  {
    ref: "lmdb:/t",
    disk: { "/t.postern-index": { content: index("index"), modified: 5 } },
    want: "index",
    why: "text removed after postmap, as for passwords",
  },
  {
    ref: "cdb:/t",
    disk: { "/t.cdb": { content: postfixCdb("cdb"), modified: 5 }, "/t": { content: "k text", modified: 4 } },
    want: "cdb",
    why: "Postfix's file",
  },
  {
    ref: "cdb:/t",
    disk: {
      "/t.cdb": { content: postfixCdb("cdb"), modified: 5 },
      "/t.postern-index": { content: index("i"), modified: 6 },
    },
    want: "i",
    why: "the newest of two",
  },
  {
    ref: "texthash:/t",
    disk: { "/t": { content: "k text", modified: 5 }, "/t.postern-index": { content: index("index"), modified: 9 } },
    want: "text",
    why: "texthash is the text",
  },
  {
    ref: "hash:/t",
    disk: { "/t": { content: "k text", modified: 5 }, "/t.cdb": { content: index("index"), modified: 9 } },
    want: "text",
    why: "hash is not cdb",
  },
];

for (const c of CHOICES) {
  test(`get() ${c.why}: ${c.ref} of ${Object.keys(c.disk)}`, () =>
    assert.equal(open(c.ref, c.disk).table.get("K"), c.want));
}

test("get() of Postfix's cdb file finds keys that it has in quotes", () => {
  const content = formatCdb(new Map([['"a b"@c\0', "quoted\0"]]));
  assert.equal(open("cdb:/t", { "/t.cdb": { content, modified: 1 } }).table.get("a b@c"), "quoted");
});

test("open() warns of an index older than its text", () => {
  const { warnings } = open("hash:/t", {
    "/t": { content: "k text", modified: 6 },
    "/t.postern-index": { content: index("index"), modified: 5 },
  });
  assert.deepEqual(warnings, ["database /t.postern-index is older than source file /t; the source file is read"]);
});

const UNUSABLE: readonly { ref: string; disk: Disk; text: RegExp; why: string }[] = [
  { ref: "hash:/t", disk: {}, text: /No such file.*"postern postmap" builds/, why: "neither text nor index" },
  { ref: "texthash:/t", disk: {}, text: /^texthash:\/t: open \/t: No such file or directory$/, why: "no text" },
  {
    ref: "hash:/t",
    disk: { "/t": { content: "unreadable", modified: 1 }, "/t.postern-index": { content: index("old"), modified: 2 } },
    text: /Permission denied/,
    why: "a text that cannot be read may say otherwise than the index",
  },
  {
    ref: "hash:/t",
    disk: { "/t": { content: "k text", modified: 1 }, "/t.postern-index": { content: "damaged", modified: 2 } },
    text: /not a cdb file/,
    why: "damaged index",
  },
];

for (const c of UNUSABLE) {
  test(`get() fails: ${c.why}: ${c.ref}`, () => {
    const { table } = open(c.ref, c.disk);
    assert.throws(
      () => table.get("k"),
      (error) => error instanceof TableError && c.text.test(error.message),
    );
    assert.match(`${c.ref}: ${table.problem}`, c.text);
  });
}

/** Postfix 3.7's words for the same lines, from `postmap -s texthash:`, but for the quotes inside keys. */
const LINES = [
  { in: "k v", entries: [["k", "v"]], warnings: [], why: "plain" },
  { in: "K  V w  ", entries: [["k", "V w"]], warnings: [], why: "keys fold, values do not" },
  {
    in: "k v\r\nl w\r\n",
    entries: [
      ["k", "v"],
      ["l", "w"],
    ],
    warnings: [],
    why: "lines from elsewhere",
  },
  { in: "k v\n# c\n\n  w", entries: [["k", "v  w"]], warnings: [], why: "continued over a comment" },
  { in: "k v # no comment", entries: [["k", "v # no comment"]], warnings: [], why: "comments begin lines only" },
  { in: '"a b"@c d', entries: [["a b@c", "d"]], warnings: [], why: "quoted local part" },
  { in: '"a\\"b\\\\c" d', entries: [['a"b\\c', "d"]], warnings: [], why: "quoted quote and backslash" },
  { in: "nb\u00a0x y", entries: [["nb\u00a0x", "y"]], warnings: [], why: "a no-break space is no blank" },
  { in: "\ufeffk v", entries: [["k", "v"]], warnings: [], why: "byte order mark" },
  { in: "2001:db8:: OK", entries: [["2001:db8::", "OK"]], warnings: [], why: "IPv6" },
  {
    in: "k",
    entries: [],
    warnings: ["/t, line 1: expected format: key whitespace value -- ignoring this line"],
    why: "no value",
  },
  {
    in: '"k v',
    entries: [],
    warnings: [`/t, line 1: unbalanced '"' in '"k v' -- ignoring this line`],
    why: "open quote",
  },
  { in: "k v\n\nk w", entries: [["k", "v"]], warnings: ['/t, line 3: duplicate entry: "k"'], why: "the first stays" },
  {
    in: "# c\n lead in\n  more\nk v",
    entries: [["k", "v"]],
    warnings: ['/t: logical line must not start with whitespace: " lead in  more"'],
    why: "nothing to continue",
  },
  {
    in: ` ${"x".repeat(40)}`,
    entries: [],
    warnings: [`/t: logical line must not start with whitespace: " ${"x".repeat(29)}..."`],
    why: "cut to 30 characters",
  },
  { in: "", entries: [], warnings: [], why: "empty" },
];

for (const c of LINES) {
  test(`parseTextTable() ${c.why}: ${JSON.stringify(c.in)}`, () => {
    const { entries, warnings } = parseTextTable(Buffer.from(c.in), "/t");
    assert.deepEqual([...entries], c.entries);
    assert.deepEqual(warnings, c.warnings);
  });
}

test("parseTextTable() drops what is no UTF-8", () => {
  const { entries, warnings } = parseTextTable(Buffer.from("k v\nbad\xff z\n", "latin1"), "/t");
  assert.deepEqual([...entries], [["k", "v"]]);
  assert.deepEqual(warnings, ['/t, line 2: non-UTF-8 input "bad\ufffd z" -- ignoring this line']);
});

test("parseTextTable() warns of alias lines where asked", () => {
  const { warnings } = parseTextTable(Buffer.from("a: b\nc d\n"), "/t", { warnOfAliases: true });
  assert.deepEqual(warnings, ['/t, line 1: record is in "key: value" format; is this an alias file?']);
});

test("sourceLines() of any bytes: every line once, in order, none empty, no comment", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", " ", "\t", "#", "\n", "\r", "\0", '"'), maxLength: 60 }),
      (text) => {
        const lines = sourceLines(Buffer.from(text));
        for (const [i, line] of lines.entries()) {
          assert.match(line.text, /^[^\s#]/);
          assert.ok(line.line > (lines[i - 1]?.line ?? 0));
        }
      },
    ),
  );
});
