/** Lookup tables against Postfix's postmap: the same files and references, the same keys; answers, exit codes and warnings
 *  are equal, but for the differences that a row names with its reason. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runPostmap } from "../../src/cli/postmap.ts";

interface Row {
  /** `FILE` in it is the path of `text`. */
  readonly ref: string;
  readonly text?: string;
  /** Separated by blanks. */
  readonly keys: string;
  readonly why: string;
  /** Why other lines are warned about than by Postfix. */
  readonly otherWarnings?: string;
  /** Why the answers differ. */
  readonly otherAnswers?: string;
}

const ROWS: readonly Row[] = [
  { ref: "regexp:FILE", text: "/^a/ A\n/b/ B", keys: "abc xb B zz", why: "first match, any case" },
  { ref: "regexp:FILE", text: "/A/i sensitive", keys: "a A", why: "i toggles" },
  { ref: "regexp:FILE", text: "!/a/ not a", keys: "a b", why: "negation" },
  { ref: "regexp:FILE", text: "!!/a/ twice", keys: "a b", why: "negation twice" },
  { ref: "regexp:FILE", text: "! /a/ blank", keys: "a b", why: "blank behind the negation" },
  { ref: "regexp:FILE", text: "if /a/\n/b/ ab\nendif\n/./ other", keys: "ab a b", why: "if" },
  { ref: "regexp:FILE", text: "if !/a/\n/b/ b\nendif\n/./ other", keys: "ab a b", why: "if not" },
  {
    ref: "regexp:FILE",
    text: "IF /a/\nif /b/\n/c/ abc\nENDIF\n/d/ ad\nendif\n/./ o",
    keys: "abc ad abd c d",
    why: "nested, any case",
  },
  { ref: "regexp:FILE", text: "if/a/\n/b/ ab\nendif", keys: "ab b", why: "no blank behind if" },
  { ref: "regexp:FILE", text: "if /a/ x\n/b/ ab\nendif y", keys: "ab b", why: "extra text" },
  { ref: "regexp:FILE", text: "if /a/\n/b/ ab", keys: "ab b", why: "no endif" },
  { ref: "regexp:FILE", text: "endif\n/b/ b", keys: "b", why: "no if" },
  { ref: "regexp:FILE", text: "/(a)(b)?(c)/ $1-${2}-$(3)$$", keys: "abc ac", why: "substitution" },
  { ref: "regexp:FILE", text: "/(a)/ $2", keys: "a", why: "no such group" },
  { ref: "regexp:FILE", text: "/(a)/ $0", keys: "a", why: "group 0" },
  { ref: "regexp:FILE", text: "/(a)/ $x\n/a/ next", keys: "a", why: "no number" },
  { ref: "regexp:FILE", text: "/(a)/ ${1\n/a/ next", keys: "a", why: "open brace" },
  { ref: "regexp:FILE", text: "/(a)/ ${1x}\n/a/ next", keys: "a", why: "no number" },
  { ref: "regexp:FILE", text: "/(a)/ a$\n/a/ next", keys: "a", why: "dollar at the end" },
  { ref: "regexp:FILE", text: "!/(a)/ $1\n/./ next", keys: "a b", why: "substitution in a negation" },
  { ref: "regexp:FILE", text: "/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)/ $10", keys: "abcdefghij", why: "two digits" },
  { ref: "regexp:FILE", text: "/a/", keys: "a", why: "no result" },
  { ref: "regexp:FILE", text: "/a/q x\n/a/ y", keys: "a", why: "unknown flag" },
  { ref: "regexp:FILE", text: "/a x\n/a/ y", keys: "a", why: "no closing delimiter" },
  { ref: "regexp:FILE", text: "|a/b| p\n,x, c\n#y# n\n=z= e", keys: "a/b x y z", why: "delimiters" },
  { ref: "regexp:FILE", text: "/a\\/b/ slash\n|c\\|d| pipe", keys: "a/b c|d c", why: "escaped delimiters" },
  { ref: "regexp:FILE", text: "abc def\n/a/ y", keys: "a abc", why: "letters for delimiters" },
  { ref: "regexp:FILE", text: "/a/x basic\n/b\\(c\\)/x got $1\n/d+/x plus", keys: "a bc d+ dd", why: "basic syntax" },
  { ref: "regexp:FILE", text: "/(a/ x\n/a/ y", keys: "a", why: "broken pattern" },
  {
    ref: "regexp:FILE",
    text: "/a{2}/ two\n/[[:digit:]]+/ digits\n/\\<w\\>/ word",
    keys: "aa 12 w",
    why: "POSIX syntax",
  },
  { ref: "regexp:FILE", text: "/(a|ab)(c|bcd)(d*)/ $1,$2,$3", keys: "abcd", why: "leftmost longest" },
  { ref: "regexp:FILE", text: "/a/\n  x\n# c\n  y", keys: "a", why: "continued" },
  { ref: "regexp:FILE", text: " /a/ x\n/a/ y", keys: "a", why: "leading white space" },
  { ref: "regexp:FILE", text: "/a/    many   blanks  ", keys: "a", why: "blanks in the result" },
  { ref: "regexp:{{/a/ x}, {/b/ y z}}", keys: "a b", why: "inline" },
  { ref: "regexp:{ { /a{2}/ x } { /b/ y } }", keys: "aa b", why: "inline, nested braces" },
  { ref: "regexp:{{if /a/}{/b/ ab}{endif}}", keys: "ab b", why: "inline if" },
  { ref: "regexp:{/a/ x}", keys: "a", why: "inline without inner braces" },
  { ref: "pcre:FILE", text: "/^a\\d+$/ A", keys: "a1 a1x ab", why: "pcre" },
  {
    ref: "pcre:FILE",
    text: "/(?<=x)y/ behind\n/^(?!bad)ok/ good",
    keys: "xy ok badok",
    why: "look-around",
    otherWarnings: "it is matched in a thread",
  },
  {
    ref: "pcre:FILE",
    text: "/^(.)\\1$/ pair-$1",
    keys: "aa ab",
    why: "back-reference",
    otherWarnings: "it is matched in a thread",
  },
  { ref: "pcre:FILE", text: "/a(b)?c/ <$1>", keys: "ac abc", why: "unset group" },
  { ref: "pcre:FILE", text: "/(a)/ $2\n/a/ next", keys: "a", why: "no such group" },
  { ref: "pcre:FILE", text: "!/(a)/ $1\n/./ next", keys: "a b", why: "substitution in a negation" },
  { ref: "pcre:FILE", text: "if /a/\n!/b/ a not b\nendif\n/./ other", keys: "a ab b", why: "if" },
  { ref: "pcre:FILE", text: "if /a/\nif !/b/\n/c/ ac\nendif\nendif\n", keys: "ac abc c", why: "nested" },
  { ref: "pcre:FILE", text: "/a b # c/x free", keys: "ab a", why: "x" },
  { ref: "pcre:FILE", text: "/b/A anchored", keys: "ab ba", why: "A" },
  { ref: "pcre:FILE", text: "/^(a+)a*$/U <$1>", keys: "aaa", why: "U" },
  { ref: "pcre:FILE", text: "/a$/E x", keys: "a", why: "E" },
  { ref: "pcre:FILE", text: "/a/X x", keys: "a", why: "X" },
  { ref: "pcre:FILE", text: "/a/q x\n/a/ y", keys: "a", why: "unknown flag" },
  { ref: "pcre:FILE", text: "/(a/ x\n/a/ y", keys: "a", why: "broken pattern" },
  { ref: "pcre:FILE", text: "/a/", keys: "a", why: "no result" },
  { ref: "pcre:FILE", text: "/a x\n/a/ y", keys: "a", why: "no closing delimiter" },
  { ref: "pcre:FILE", text: "endif\nif /b/ x\n/./ y\nendif z", keys: "b", why: "stray words" },
  {
    ref: "pcre:FILE",
    text: "/(?i)A(?-i)b/ mixed\n/\\Qa.b\\E/ quoted\n/\\x41\\h/ hex",
    keys: "ab aB a.b",
    why: "pcre syntax",
    otherWarnings: "it is matched in a thread",
  },
  { ref: "pcre:FILE", text: "/(?P<n>a)b/ named $1", keys: "ab", why: "named group" },
  { ref: "pcre:FILE", text: "/(a|ab)(c|bcd)(d*)/ $1,$2,$3", keys: "abcd", why: "leftmost first" },
  {
    ref: "cidr:FILE",
    text: "10.0.0.0/8 net\n192.0.2.1 host\n2001:db8::/32 six",
    keys: "10.1.2.3 192.0.2.1 192.0.2.2 2001:db8::1 2001:DB8::1 x",
    why: "networks",
  },
  {
    ref: "cidr:FILE",
    text: "!10.0.0.0/8 outside\n0.0.0.0/0 rest",
    keys: "10.1.2.3 192.0.2.1 2001:db8::1",
    why: "negation",
  },
  { ref: "cidr:FILE", text: "! 10.0.0.0/8 outside", keys: "10.1.2.3 192.0.2.1", why: "blank behind the negation" },
  {
    ref: "cidr:FILE",
    text: "if 10.0.0.0/8\n10.1.0.0/16 one\nendif\n0.0.0.0/0 rest",
    keys: "10.1.2.3 10.2.0.1 192.0.2.1",
    why: "if",
  },
  {
    ref: "cidr:FILE",
    text: "if !10.0.0.0/8\n0.0.0.0/0 out\nendif\n0.0.0.0/0 in",
    keys: "10.1.2.3 192.0.2.1",
    why: "if not",
  },
  {
    ref: "cidr:FILE",
    text: "if 10.0.0.0/8\nif 10.1.0.0/16\n10.1.2.3 x\nendif\n10.2.0.1 y\nendif",
    keys: "10.1.2.3 10.2.0.1 10.1.0.9",
    why: "nested",
  },
  { ref: "cidr:FILE", text: "10.0.0.1/8 bits\n10.0.0.0/8 ok", keys: "10.0.0.1", why: "host bits" },
  {
    ref: "cidr:FILE",
    text: "10.0.0.0/33 bits\n10.0.0.0/x y\n10.0.0 z\n10.0.0.0/8 ok",
    keys: "10.0.0.1",
    why: "broken networks",
  },
  {
    ref: "cidr:FILE",
    text: "[2001:db8::]/32 six\n[10.0.0.0]/8 four\n[192.0.2.1] host",
    keys: "2001:db8::1 10.0.0.1 192.0.2.1",
    why: "brackets",
  },
  { ref: "cidr:FILE", text: "10.0.0.0/8", keys: "10.0.0.1", why: "no result" },
  { ref: "cidr:FILE", text: "foo bar\nendif\nendif x\n10.0.0.0/8 ok", keys: "10.0.0.1 foo", why: "garbage" },
  { ref: "cidr:FILE", text: "if 10.0.0.0/8\n10.0.0.1 x", keys: "10.0.0.1", why: "no endif" },
  { ref: "cidr:FILE", text: "10.0.0.0/8 ok\n  more\n", keys: "10.0.0.1", why: "continued" },
  { ref: "cidr:FILE", text: "10.0.0.0/8 $1", keys: "10.0.0.1", why: "no substitution" },
  {
    ref: "cidr:FILE",
    text: "010.0.0.0/8 octal\n::ffff:192.0.2.0/120 mapped",
    keys: "8.0.0.1 10.0.0.1 192.0.2.1 ::ffff:192.0.2.1",
    why: "odd forms",
    otherAnswers: "an IPv4-mapped network is IPv4",
  },
  { ref: "cidr:{{10.0.0.0/8 in}, {0.0.0.0/0 out}}", keys: "10.0.0.1 192.0.2.1", why: "inline" },
  { ref: "inline:{a=1, {b = 2 3}, C=4}", keys: "a A b c C d", why: "inline" },
  { ref: "inline:{{a=b=c},d=}", keys: "a d", why: "equals signs" },
  { ref: "inline:{a}", keys: "a", why: "no equals sign" },
  { ref: "inline:{=b}", keys: "a", why: "no name" },
  { ref: "inline:{}", keys: "a", why: "nothing" },
  { ref: "inline:{a=1,a=2}", keys: "a", why: "duplicate" },
  { ref: "inline:a=b", keys: "a", why: "no braces" },
  { ref: 'inline:{{"x y" = z}}', keys: '"x', why: "quotes" },
  { ref: "static:a", keys: "x y", why: "static" },
  { ref: "static:{a b}", keys: "x", why: "static with blanks" },
  { ref: "static:{ a b }", keys: "x", why: "static with blanks" },
  { ref: "static:{a", keys: "x", why: "open brace" },
  { ref: "fail:why", keys: "x", why: "fail" },
  { ref: "unionmap:{static:a, inline:{x=b}}", keys: "x y", why: "union" },
  { ref: "unionmap:{inline:{x=b}}", keys: "x y", why: "union of one" },
  { ref: "unionmap:{static:a, fail:b}", keys: "x", why: "a failing member" },
  { ref: "unionmap:{}", keys: "x", why: "empty" },
  { ref: "unionmap:static:a", keys: "x", why: "no braces" },
  { ref: "unionmap:{nonsense}", keys: "x", why: "no type" },
  { ref: "pipemap:{inline:{x=y}, inline:{y=z}}", keys: "x y", why: "pipe" },
  { ref: "pipemap:{inline:{x=y}, fail:b}", keys: "x q", why: "a failing member is not reached" },
  { ref: "pipemap:{}", keys: "x", why: "empty" },
  { ref: "randmap:{a}", keys: "x", why: "one choice" },
  { ref: "randmap:{}", keys: "x", why: "empty" },
  { ref: "randmap:a", keys: "x", why: "no braces" },
  { ref: "unix:passwd.byname", keys: "root nobody-here", why: "passwd" },
  { ref: "unix:group.byname", keys: "root nobody-here", why: "group" },
  { ref: "unix:hosts", keys: "root", why: "no such map" },
  { ref: "nis:x", keys: "a", why: "unsupported" },
  { ref: "texthash:FILE", text: 'a b\nC D\nlone\n"q r"@s t\na again\n', keys: "a A c lone", why: "texthash" },
  { ref: "texthash:/nowhere/t", keys: "a", why: "missing" },
];

const directory = mkdtempSync(join(tmpdir(), "postern-tables-"));
const has = spawnSync("postmap", ["-c", directory], { encoding: "utf8" }).error === undefined;

describe("lookup tables as Postfix's", { skip: !has && "not installed" }, () => {
  before(() => writeFileSync(join(directory, "main.cf"), "compatibility_level = 3.6\n"));
  after(() => rmSync(directory, { recursive: true }));

  for (const [i, row] of ROWS.entries()) {
    test(`${row.why}: ${row.ref} ${JSON.stringify(row.text ?? "")}`, async () => {
      const [ours, theirs] = await both(row, i);
      if (row.otherAnswers) assert.notDeepEqual(ours.out, theirs.out, "the difference is gone: tidy the row");
      else assert.deepEqual([ours.code, ours.out], [theirs.code, theirs.out], theirs.err + ours.err);
      if (row.otherWarnings) assert.notDeepEqual(linesOf(ours.err), linesOf(theirs.err), "tidy the row");
      else assert.deepEqual(linesOf(ours.err), linesOf(theirs.err), theirs.err + ours.err);
    });
  }

  test("Postfix's own cdb file", async () => {
    const file = join(directory, "native");
    writeFileSync(file, 'User@Example.org ok\n"a b"@c quoted\nx y z\n');
    assert.equal(spawnSync("postmap", ["-c", directory, `cdb:${file}`]).status, 0);
    rmSync(file);
    for (const key of ["user@example.org", "USER@EXAMPLE.ORG", "x", "nobody", '"a b"@c']) {
      const [ours, theirs] = [await postern(`cdb:${file}`, `${key}\n`), await postfix(`cdb:${file}`, `${key}\n`)];
      assert.deepEqual([ours.code, ours.out], [theirs.code, theirs.out], key);
    }
  });

  test("random POSIX patterns match the same keys, extended and basic", async () => {
    const next = randomNumbers();
    for (let i = 0; i < 300; i++) {
      const text = `/${randomPattern(POSIX_PIECES, next)}/${next(3) === 0 ? "x" : ""} yes`;
      const [ours, theirs] = await both({ ref: "regexp:FILE", text, keys: POSIX_KEYS }, i);
      assert.deepEqual(ours.out, theirs.out, `${text}\n${ours.err}${theirs.err}`);
    }
  });

  test("random PCRE patterns match the same keys, or the table is refused", async () => {
    const next = randomNumbers();
    for (let i = 0; i < 300; i++) {
      const flags = ["", "", "i", "m", "s", "x", "U", "A"][next(8)];
      const text = `/${randomPattern(PCRE_PIECES, next)}/${flags} yes${next(2) ? "-$1" : ""}\n/./ other`;
      const [ours, theirs] = await both({ ref: "pcre:FILE", text, keys: PCRE_KEYS }, i);
      const refused = ours.err.includes("is not supported");
      // PCRE refuses to repeat an assertion, which others take.
      const lenient = theirs.err.includes("quantifier does not follow a repeatable item");
      if (!refused && !lenient) assert.deepEqual(ours.out, theirs.out, `${text}\n${ours.err}${theirs.err}`);
    }
  });
});

const POSIX_KEYS = "a b ab ba aab abab x . ( ) {2} aba \\ ]";
const POSIX_PIECES = [..."aabb.*+?|()^$x", ...String.raw`\( \) [ab] [^a] \1 {2} {,1} \. \{ []b] [\a] \w \b`.split(" ")];

const PCRE_KEYS = "a b ab ba aab abab A aB a. 1 { } ] a- _ ab.ab";
const PCRE_PIECES = [
  ..."aabb.*+?|()()^$ {}]",
  ...String.raw`[ab] [^a] {2} {,1} {1,2} \. \b \B \w \d \s \D (?: (?=a) (?!a) (?<=a) (?<!b) \1 \g{1} *? +? ?? (?i) (?-i)`.split(
    " ",
  ),
  ...String.raw`(?i:A) (?s:.) (?P<n> (?#c) \A \z \Z \h \e \t \Qa.\E \x61 [[:alpha:]] [\w.] [a-] []a] [^]a] \_ \K \R *+`.split(
    " ",
  ),
];

/** Always the same numbers, each below what is asked. */
function randomNumbers(): (below: number) => number {
  let seed = 4711;
  return (below) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

function randomPattern(pieces: readonly string[], next: (below: number) => number): string {
  return Array.from({ length: 1 + next(7) }, () => pieces[next(pieces.length)]).join("");
}

/** Which lines are warned about; each program in its own words. */
function linesOf(warnings: string): readonly string[] {
  return [...new Set([...warnings.matchAll(/, line \d+: /g)].map(([line]) => line))];
}

async function both(row: Pick<Row, "ref" | "text" | "keys">, i: number): Promise<[Outcome, Outcome]> {
  const file = join(directory, `table-${i}`);
  if (row.text !== undefined) writeFileSync(file, `${row.text}\n`);
  const ref = row.ref.replace("FILE", file);
  const keys = `${row.keys.split(" ").join("\n")}\n`;
  return [await postern(ref, keys), await postfix(ref, keys)];
}

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function postfix(ref: string, stdin: string): Promise<Outcome> {
  const { status, stdout, stderr } = spawnSync("postmap", ["-c", directory, "-q", "-", ref], {
    input: stdin,
    encoding: "utf8",
    timeout: 10_000,
  });
  return { code: status, out: stdout, err: stderr };
}

async function postern(ref: string, stdin: string): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runPostmap("postmap", ["-q", "-", ref], {
    stdin: async () => stdin,
    stdout: (text) => void out.push(text),
    stderr: (text) => void err.push(text),
    workingDirectory: directory,
    environment: process.env,
    uid: -1,
    parameters: async () => undefined,
  });
  return { code, out: out.join(""), err: err.join("") };
}
