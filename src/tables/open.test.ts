/** tables/open.test.ts: every table type through the opener, as the other rooms see them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Log } from "../log/log.ts";
import { formatCdb } from "./cdb.ts";
import { createTableOpener } from "./open.ts";
import { TableError } from "./table.ts";

const FILES: Readonly<Record<string, string>> = {
  "/etc/postern/access": [
    "# comment",
    "  # indented comment before anything",
    "User@Example.org\tREJECT  no thanks ",
    "",
    "example.net",
    "# inside",
    "   550 continued",
    "  text",
    "user@example.org OK",
    "lonely",
    '"two words"@example.org OK',
    '"open OK',
    "__proto__ OK",
  ].join("\n"),
  "/etc/aliases": 'postmaster: root\nabuse :\troot, "| cmd"\nlist:\n  a,\n  b\n',
  "/etc/postern/nets":
    "!10.0.0.0/8 outside\n10.1.0.0/16 one\nif !10.2.0.0/15\n10.4.0.1 four\nendif\n0.0.0.0/0 rest\n::/0 six\n",
  "/etc/postern/badnets": "10.0.0.0/8 OK\n10.0.0.1/8 OK\n",
  "/etc/postern/checks": [
    "/^Subject:\\s+(\\S+) (\\S+)/ REJECT $2-${1}$$",
    "if /^X-/",
    "!/^X-Good/ WARN bad x header",
    "endif",
    "/CASE/i exact",
    "#no/",
    "|a/b\\|c| pipes",
    "/^one$/m multi",
    "/end.of/",
    "  DUNNO continued",
  ].join("\n"),
  "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nAlice:x:1000:1000::/home/alice:/bin/sh\n+::::::\n",
  "/etc/group": "root:x:0:\nstaff:x:50:\n",
};

const BINARY: ReadonlyMap<string, Uint8Array> = new Map([
  ["/etc/postern/gone.cdb", formatCdb(new Map([["a@b\0", "from the cdb\0"]]))],
  ["/etc/postern/indexed.postern-index", formatCdb(new Map([["a@b", "from the index"]]))],
  ["/etc/postern/indexed.cdb", formatCdb(new Map([["a@b", "never read for hash"]]))],
]);

function open(warnings: string[] = []) {
  const log = new Log({ sink: (record) => void warnings.push(record.text), now: () => 0, tag: "t", id: 1 });
  const files = {
    read(path: string) {
      const bytes = BINARY.get(path);
      if (bytes) return bytes;
      const text = Object.hasOwn(FILES, path) ? FILES[path] : undefined;
      if (text === undefined) throw new TableError(`open ${path}: No such file or directory`);
      return Buffer.from(text);
    },
  };
  return createTableOpener({ files, log, configDirectory: "/etc/postern", environment: { HOME: "/home/alice" } });
}

const LOOKUPS = [
  { ref: "texthash:/etc/postern/access", key: "USER@example.ORG", want: "REJECT  no thanks", why: "keys fold" },
  { ref: "hash:access", key: "example.net", want: "550 continued  text", why: "relative, continued over a comment" },
  { ref: "lmdb:access", key: "lonely", want: undefined, why: "no value" },
  { ref: "cdb:access", key: "two words@example.org", want: "OK", why: "quotes are removed" },
  { ref: "btree:access", key: "__proto__", want: "OK", why: "remote key that objects know" },
  { ref: "btree:access", key: "constructor", want: undefined, why: "remote key that objects know" },
  { ref: "proxy:hash:/etc/aliases", key: "postmaster", want: "root", why: "alias line through proxy" },
  { ref: "hash:/etc/aliases", key: "abuse", want: 'root, "| cmd"', why: "blank before the colon" },
  { ref: "hash:/etc/aliases", key: "list", want: "a,  b", why: "alias continuation" },
  { ref: "static:all", key: "x", want: "all", why: "static" },
  { ref: "static:{a b}", key: "", want: "a b", why: "static with blanks" },
  { ref: "inline:{A=1, {b = 2 3}, c=}", key: "a", want: "1", why: "inline folds" },
  { ref: "inline:{A=1, {b = 2 3}, c=}", key: "B", want: "2 3", why: "inline with blanks" },
  { ref: "inline:{A=1, {b = 2 3}, c=}", key: "c", want: "", why: "inline, empty value" },
  { ref: "cidr:nets", key: "192.0.2.1", want: "outside", why: "negated network" },
  { ref: "cidr:nets", key: "10.1.2.3", want: "one", why: "inside" },
  { ref: "cidr:nets", key: "10.4.0.1", want: "four", why: "if holds" },
  { ref: "cidr:nets", key: "10.2.0.1", want: "rest", why: "if skips" },
  { ref: "cidr:nets", key: "2001:db8::1", want: "six", why: "another family matches no negation" },
  { ref: "cidr:{{192.0.2.0/24 OK}}", key: "192.0.2.9", want: "OK", why: "inline rules" },
  { ref: "cidr:{{192.0.2.0/24 OK}}", key: "not an address", want: undefined, why: "no address" },
  { ref: "regexp:checks", key: "subject: Hello World", want: "REJECT World-Hello$", why: "substitution, any case" },
  { ref: "regexp:checks", key: "X-Evil: 1", want: "WARN bad x header", why: "if and negation" },
  { ref: "regexp:checks", key: "X-Good: 1", want: undefined, why: "negation fails" },
  { ref: "regexp:checks", key: "case", want: undefined, why: "i toggles to sensitive" },
  { ref: "regexp:checks", key: "a/b|c", want: "pipes", why: "another delimiter, escaped" },
  { ref: "regexp:checks", key: "two\none\n", want: "multi", why: "m flag" },
  { ref: "regexp:checks", key: "end\nof", want: "DUNNO continued", why: "dot matches a newline" },
  { ref: "regexp:{{/^a(b)?$/ <$1>}}", key: "a", want: "<>", why: "unset group is empty" },
  { ref: "pcre:{{/\\d{3}/ digits}}", key: "x123", want: "digits", why: "pcre syntax, nested braces" },
  { ref: "unix:passwd.byname", key: "alice", want: "Alice:x:1000:1000::/home/alice:/bin/sh", why: "login folds" },
  { ref: "unix:passwd.byname", key: "+", want: undefined, why: "NIS line" },
  { ref: "unix:group.byname", key: "staff", want: "staff:x:50:", why: "group" },
  { ref: "environ:x", key: "HOME", want: "/home/alice", why: "variable" },
  { ref: "environ:x", key: "home", want: undefined, why: "names of variables keep their case" },
  { ref: "environ:x", key: "constructor", want: undefined, why: "a name that objects know" },
  { ref: "unionmap:{static:a, inline:{x=b}}", key: "x", want: "a,b", why: "all answers" },
  { ref: "unionmap:{static:a, inline:{x=b}}", key: "y", want: "a", why: "only those that have one" },
  { ref: "unionmap:{inline:{x=b}}", key: "y", want: undefined, why: "none" },
  { ref: "pipemap:{inline:{x=y}, inline:{y=z}}", key: "x", want: "z", why: "chain" },
  { ref: "pipemap:{inline:{x=y}, inline:{q=z}}", key: "x", want: undefined, why: "chain ends" },
  { ref: "pipemap:{unionmap:{static:a, static:b}, inline:{{a,b = c}}}", key: "x", want: "c", why: "nested" },
  { ref: "randmap:{one}", key: "", want: "one", why: "only choice" },
  { ref: "cdb:gone", key: "a@b", want: "from the cdb", why: "Postfix's cdb file where the text is missing" },
  { ref: "hash:indexed", key: "A@b", want: "from the index", why: "postmap's index where the text is missing" },
  { ref: "regexp:{{/BAS\\(x\\)/x basic-$1}}", key: "basx", want: "basic-x", why: "basic syntax" },
  { ref: "regexp:{{/^a+$/x plus}}", key: "a+", want: "plus", why: "basic syntax, plus is itself" },
  {
    ref: "regexp:{{/[/]x/ class}}",
    key: "x",
    want: undefined,
    why: "a slash in a class ends the pattern, as in Postfix",
  },
  { ref: "pcre:{{/a b # c/x free}}", key: "ab", want: "free", why: "free spacing" },
  { ref: "pcre:{{/b/A anchored}}", key: "ab", want: undefined, why: "anchored" },
  { ref: "pcre:{{/b|c/A anchored}}", key: "ac", want: undefined, why: "anchored, every alternative" },
  { ref: "pcre:{{/b(?=c)|c/A anchored}}", key: "xbc", want: undefined, why: "anchored look-ahead" },
  { ref: "pcre:{{/b(?=c)|c/A anchored}}", key: "bc", want: "anchored", why: "anchored look-ahead" },
  { ref: "pcre:{{/^(a+)a*$/U <$1>}}", key: "aaa", want: "<a>", why: "ungreedy" },
  { ref: "pcre:{{/x.y/s dot}}", key: "x\ny", want: undefined, why: "s toggles off" },
  { ref: "regexp:{{!!/x/ twice}}", key: "x", want: "twice", why: "two negations" },
  { ref: "regexp:{{if !/x/}, {/./ no}, {endif}, {/./ yes}}", key: "x", want: "yes", why: "negated condition" },
  {
    ref: "regexp:{{if /a/}, {if /b/}, {/./ ab}, {endif}, {/./ a}, {endif}, {/./ 0}}",
    key: "ab",
    want: "ab",
    why: "nest",
  },
  {
    ref: "regexp:{{if /a/}, {if /b/}, {/./ ab}, {endif}, {/./ a}, {endif}, {/./ 0}}",
    key: "a",
    want: "a",
    why: "nest",
  },
  {
    ref: "regexp:{{if /a/}, {if /b/}, {/./ ab}, {endif}, {/./ a}, {endif}, {/./ 0}}",
    key: "b",
    want: "0",
    why: "nest",
  },
  { ref: "regexp:{{/(a)(b)?/ $(1)x${2}y$$z}}", key: "a", want: "axy$z", why: "all forms of references" },
  { ref: "pcre:{{/^(?!bad)\\w+$/ good}}", key: "okay", want: "good", why: "look-ahead" },
  { ref: "pcre:{{/^(?!bad)\\w+$/ good}}", key: "badly", want: undefined, why: "look-ahead" },
  { ref: "pcre:{{/(?<=x)y/ behind}}", key: "xy", want: "behind", why: "look-behind" },
  { ref: "pcre:{{/^(\\w)(?i:A)\\1$/ pal-$1}}", key: "xax", want: "pal-x", why: "back-reference" },
  { ref: "pcre:{{!/^(?!bad)/ bad}}", key: "badly", want: "bad", why: "negated look-ahead" },
  {
    ref: "pcre:{{if /^(?!bad)/}, {/./ ok}, {endif}, {/./ no}}",
    key: "badly",
    want: "no",
    why: "look-ahead as condition",
  },
  {
    ref: "pcre:{{if /^(?!bad)/}, {/./ ok}, {endif}, {/./ no}}",
    key: "good",
    want: "ok",
    why: "look-ahead as condition",
  },
  { ref: "pcre:{{/^[[:alpha:]]+(?!x)$/ posix}}", key: "abc", want: "posix", why: "class names before a look-ahead" },
];

for (const c of LOOKUPS) {
  test(`get() ${c.why}: ${c.ref} ${JSON.stringify(c.key)}`, async () => {
    const opener = open();
    assert.equal(await opener.open(c.ref).get(c.key), c.want);
    await opener.close?.();
  });
}

const BROKEN = [
  { ref: "nis:mail.aliases", text: "unsupported dictionary type: nis" },
  { ref: "/etc/x", text: 'expecting "type:name" form' },
  { ref: "hash:/nowhere", text: "No such file" },
  { ref: "proxy:unix:hosts", text: "unknown map name" },
  { ref: "inline:a=b", text: 'bad syntax: "inline:a=b"; need "inline:{name=value...}"' },
  { ref: "static:{a", text: "missing '}'" },
  { ref: "regexp:{{if /a/}{/b/ ab}{endif}}", text: 'expected "{rule}"' },
  { ref: "inline:{}", text: "bad syntax" },
  { ref: "inline:{a}", text: "missing '='" },
  { ref: "inline:{{a=b}", text: "bad syntax" },
  { ref: "cidr:{{if 10.0.0.0/8 extra}, {endif}}", text: "line 1: bad IF: " },
  { ref: "cidr:{a}", text: 'expected "{rule}"' },
  { ref: "regexp:{{if /x}, {/a/ b}, {endif}}", text: "bad IF: no closing regexp delimiter" },
  { ref: "pcre:{{/a(?=b)/U OK}}", text: 'flag "U" of such a pattern is not supported' },
  { ref: "pcre:{{/a++b/ OK}}", text: 'the possessive "++" is not supported' },
  { ref: "pcre:{{/(?>a)/ OK}}", text: '"(?>" is not supported' },
  { ref: "unionmap:{}", text: 'need "unionmap:{type:name...}"' },
  { ref: "unionmap:static:a", text: 'need "unionmap:{type:name...}"' },
  { ref: "pipemap:a", text: 'need "pipemap:{type:name...}"' },
  { ref: "randmap:{}", text: 'need "randmap:{value...}"' },
  { ref: "sqlite:/nowhere.cf", text: "No such file" },
];

for (const c of BROKEN) {
  test(`open() of a broken table throws at get() only: ${c.ref}`, () => {
    const warnings: string[] = [];
    const table = open(warnings).open(c.ref);
    assert.throws(
      () => table.get("x"),
      (error) => error instanceof TableError && error.message.includes(c.text),
    );
    assert.ok(table.problem?.includes(c.text), table.problem);
    assert.ok(warnings.length >= 1);
  });
}

const BROKEN_MEMBERS = [
  { ref: "unionmap:{static:a, hash:/nowhere}", text: /^hash:\/nowhere: open \/nowhere: No such file/ },
  { ref: "pipemap:{inline:{x=y}, nis:z}", text: /unsupported dictionary type: nis/ },
  { ref: "pipemap:{inline:{}, static:a}", text: /bad syntax/ },
];

for (const c of BROKEN_MEMBERS) {
  test(`a member that cannot be opened breaks the whole: ${c.ref}`, async () => {
    const table = open().open(c.ref);
    await assert.rejects(async () => table.get("nobody"), { name: "TableError", message: c.text });
    assert.match(table.problem ?? "", c.text);
  });
}

const FAILING = [
  { ref: "fail:because", key: "x" },
  { ref: "unionmap:{static:a, fail:b}", key: "x" },
  { ref: "pipemap:{inline:{x=y}, fail:b}", key: "x" },
];

for (const c of FAILING) {
  test(`get() of a table that opens and fails: ${c.ref}`, async () => {
    const table = open().open(c.ref);
    assert.equal(table.problem, undefined);
    await assert.rejects(async () => table.get(c.key), TableError);
  });
}

test("pipemap: ends at the first table that finds nothing, before one that fails", async () => {
  assert.equal(await open().open("pipemap:{inline:{x=y}, fail:b}").get("q"), undefined);
});

/** Postfix's words, from postmap 3.7 over the same rules. */
const SKIPPED = [
  { ref: "cidr:badnets", text: "cidr map /etc/postern/badnets, line 2: non-null host address bits in" },
  { ref: "cidr:{{10.0.0.0/8}}", text: "cidr map, line 1: no lookup result: skipping this rule" },
  { ref: "cidr:{{foo bar}}", text: "skipping this rule" },
  { ref: "cidr:{{endif}}", text: "ignoring ENDIF without matching IF" },
  { ref: "cidr:{{endif x}}", text: "garbage after ENDIF: skipping this rule" },
  { ref: "cidr:{{if 10.0.0.0/8}}", text: "line 1: IF has no matching ENDIF" },
  { ref: "regexp:{{/x/q OK}}", text: 'unknown regexp option "q": skipping this rule' },
  { ref: "pcre:{{/x/q OK}}", text: 'unknown regexp option "q": skipping this rule' },
  { ref: "regexp:{{/x OK}}", text: 'no closing regexp delimiter "/": skipping this rule' },
  { ref: "regexp:{{/x/}}", text: "no replacement text: using empty string" },
  { ref: "regexp:{{/(x)/ $2}}", text: 'out of range replacement index "2": skipping this rule' },
  { ref: "regexp:{{!/(x)/ $1}}", text: "$number found in negative match replacement text: skipping this rule" },
  { ref: "regexp:{{/x/ $a}}", text: "bad replacement syntax" },
  { ref: "regexp:{{/x/ $(x}}", text: "bad replacement syntax" },
  { ref: "regexp:{{/a(/ OK}}", text: "Unmatched ( or \\(: skipping this rule" },
  { ref: "pcre:{{/)(/A OK}}", text: "cannot use pattern" },
  { ref: "pcre:{{/(?=a)\\1/ OK}}", text: "cannot use pattern" },
  { ref: "regexp:{{endif}}", text: "ignoring ENDIF without matching IF" },
  { ref: "regexp:{{if /x/ y}, {endif z}}", text: 'ignoring extra text after IF statement: "y"' },
  { ref: "pcre:{{/(?=x)/ OK}}", text: "has no linear-time form" },
];

for (const c of SKIPPED) {
  test(`open() warns and goes on: ${c.ref}`, async () => {
    const warnings: string[] = [];
    const opener = open(warnings);
    const table = opener.open(c.ref);
    assert.equal(table.problem, undefined);
    assert.ok(warnings[0]?.includes(c.text), warnings.join("\n"));
    await opener.close?.();
  });
}

test("open() opens a reference once and warns about its lines once", () => {
  const warnings: string[] = [];
  const opener = open(warnings);
  assert.equal(opener.open("hash:access"), opener.open("hash:access"));
  assert.deepEqual(warnings, [
    '/etc/postern/access, line 9: duplicate entry: "user@example.org"',
    "/etc/postern/access, line 10: expected format: key whitespace value -- ignoring this line",
    "/etc/postern/access, line 12: unbalanced '\"' in '\"open OK' -- ignoring this line",
  ]);
});

test("a regular expression answers in linear time whatever the key", () => {
  const table = open().open("regexp:{{/^(a+)+$/ OK}}");
  assert.equal(table.get(`${"a".repeat(5000)}!`), undefined);
});

test("a text table gives back what was written", () => {
  const word = fc.string({ unit: fc.constantFrom(..."abcXYZ019@.-_+="), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(fc.tuple(word, word), { minLength: 1 }), (pairs) => {
      const inline = open().open(`inline:{${pairs.map(([k, v]) => `{${k.replaceAll("=", "e")} = ${v}}`).join(",")}}`);
      const expected = new Map(pairs.map(([k, v]) => [k.replaceAll("=", "e").toLowerCase(), v]));
      for (const [key, value] of expected) assert.equal(inline.get(key), value);
    }),
  );
});
