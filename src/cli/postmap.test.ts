/** cli/postmap.test.ts: postmap(1) and postalias(1): exit codes, output and warnings, and the index they leave. */
import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { runPostmap } from "./postmap.ts";
import type { PostmapProgram } from "./postmap-run.ts";

const ROOT = mkdtempSync(join(tmpdir(), "postern-postmap-"));
after(() => rmSync(ROOT, { recursive: true }));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A directory of its own with these files, and the program run in it. Its path is `~` in what is printed. */
function setUp(files: Readonly<Record<string, string>>) {
  const directory = mkdtempSync(join(ROOT, "case-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const run = async (program: PostmapProgram, argv: readonly string[], stdin = ""): Promise<Outcome> => {
    const out: string[] = [];
    const err: string[] = [];
    const code = await runPostmap(program, argv, {
      stdin: async () => stdin,
      stdout: (text) => void out.push(text),
      stderr: (text) => void err.push(text),
      workingDirectory: directory,
      environment: { HOME: "/home/alice" },
      uid: process.geteuid?.() ?? -1,
      parameters: async () => parametersOf({ default_database_type: "btree" }),
    });
    return { code, out: out.join("").replaceAll(directory, "~"), err: err.join("").replaceAll(directory, "~") };
  };
  const postmap = (argv: readonly string[], stdin?: string) => run("postmap", argv, stdin);
  const postalias = (argv: readonly string[], stdin?: string) => run("postalias", argv, stdin);
  return { directory, postmap, postalias };
}

const ACCESS = 'User@Ex.org   REJECT x  \nkey\n"a b"@c  d\nuser@ex.org again\nfoo: bar\nk2 v2\n';

test("postmap builds an index that answers, and says what it ignored", async () => {
  const { directory, postmap } = setUp({ access: ACCESS });
  assert.deepEqual(await postmap(["hash:access"]), {
    code: 0,
    out: "postmap: built ~/access.postern-index: 4 entries\n",
    err: [
      "postmap: warning: ~/access, line 2: expected format: key whitespace value -- ignoring this line",
      'postmap: warning: ~/access, line 4: duplicate entry: "user@ex.org"',
      'postmap: warning: ~/access, line 5: record is in "key: value" format; is this an alias file?',
      "",
    ].join("\n"),
  });
  rmSync(join(directory, "access"));
  assert.deepEqual(await postmap(["-q", "USER@ex.org", "access"]), { code: 0, out: "REJECT x\n", err: "" });
  assert.deepEqual(readdirSync(directory), ["access.postern-index"], "no temporary file is left");
});

const QUERIES = [
  { argv: ["-q", "k2", "hash:t"], code: 0, out: "v2\n", why: "found" },
  { argv: ["-qk2", "hash:t"], code: 0, out: "v2\n", why: "value joined to its option" },
  { argv: ["-vq", "k2", "hash:t"], code: 0, out: "v2\n", why: "options joined" },
  { argv: ["-q", "nobody", "hash:t"], code: 1, out: "", why: "not found" },
  { argv: ["-q", "", "hash:t"], code: 1, out: "", why: "empty key" },
  { argv: ["-q", "@ex.org", "hash:t"], code: 1, out: "", why: "no partial keys" },
  { argv: ["-q", '"a b"@c', "hash:t"], code: 0, out: "d\n", why: "key as the file has it" },
  { argv: ["-q", "a b@c", "hash:t"], code: 0, out: "d\n", why: "key as the server asks it" },
  { argv: ["-q", "x", "hash:t", "static:yes"], code: 0, out: "yes\n", why: "the first table that knows it" },
  { argv: ["-q", "k2", "--", "static:yes", "hash:t"], code: 0, out: "yes\n", why: "in order" },
  { argv: ["-q", "HOME", "environ:x"], code: 0, out: "/home/alice\n", why: "environment" },
  { argv: ["-q", "10.1.2.3", "cidr:{{10.0.0.0/8 in $1}}"], code: 0, out: "in $1\n", why: "rules" },
  { argv: ["-q", "Abc", "pcre:{{/^(?!x)(a)/ got $1}}"], code: 0, out: "got A\n", why: "pattern in a thread" },
  {
    argv: ["-q", "-", "hash:t"],
    stdin: "k2\nzz\nUSER@EX.ORG\n",
    code: 0,
    out: "k2\tv2\nUSER@EX.ORG\tREJECT x\n",
    why: "many keys",
  },
  { argv: ["-q", "-", "hash:t"], stdin: "zz\n", code: 1, out: "", why: "none of many keys" },
  { argv: ["-q", "-", "hash:t"], stdin: "", code: 1, out: "", why: "no key at all" },
];

for (const c of QUERIES) {
  test(`postmap -q ${c.why}: ${c.argv.join(" ")}`, async () => {
    const { code, out } = await setUp({ t: ACCESS }).postmap(c.argv, c.stdin);
    assert.deepEqual({ code, out }, { code: c.code, out: c.out });
  });
}

const FATAL = [
  { argv: [], err: /^postmap: fatal: usage: postmap /, why: "no table" },
  { argv: ["-q"], err: /option requires an argument -- 'q'/, why: "no key" },
  { argv: ["-z", "t"], err: /invalid option -- 'z'/, why: "unknown option" },
  { argv: ["-b", "-q", "-", "t"], err: /option -b is not supported/, why: "body mode" },
  { argv: ["-q", "a", "-d", "b", "t"], err: /specify only one of -s -q or -d/, why: "two actions" },
  { argv: ["-i", "-q", "a", "t"], err: /specify only one of -s -q or -d/, why: "update and query" },
  { argv: ["hash:none"], err: /^postmap: fatal: open ~\/none: No such file or directory\n$/, why: "no text" },
  { argv: ["-q", "x", "hash:none"], err: /^postmap: fatal: open ~\/none: No such file/, why: "no text and no index" },
  { argv: ["-d", "x", "hash:none"], err: /^postmap: fatal: open ~\/none: No such file/, why: "no text and no index" },
  { argv: ["nis:x"], err: /fatal: unsupported dictionary type: nis\n$/, why: "unknown type" },
  { argv: ["-q", "x", "nis:x"], err: /fatal: unsupported dictionary type: nis\n$/, why: "unknown type" },
  { argv: ["regexp:t"], err: /type: regexp does not support bulk-mode creation\.\n$/, why: "type without index" },
  { argv: ["texthash:t"], err: /type: texthash does not support bulk-mode creation\.\n$/, why: "type without index" },
  {
    argv: ["-d", "x", "static:a"],
    err: /table static:a: delete operation is not supported/,
    why: "type without index",
  },
  { argv: ["-s", "static:a"], err: /table static:a: sequence operation is not supported/, why: "no entries" },
  { argv: ["-q", "x", "fail:broken"], err: /fatal: fail:broken: query error\n$/, why: "a table that fails" },
];

for (const c of FATAL) {
  test(`postmap ends with 1: ${c.why}: ${c.argv.join(" ")}`, async () => {
    const { code, out, err } = await setUp({ t: "k v\n" }).postmap(c.argv);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, c.err);
  });
}

test("postmap -i, -r, -w, -d and -s change and list the index", async () => {
  const { directory, postmap } = setUp({ t: "a 1\nb 2\n" });
  assert.equal((await postmap(["hash:t"])).code, 0);
  const added = await postmap(["-i", "hash:t"], "a 9\nC 3\n");
  assert.deepEqual(added, { code: 0, out: "", err: 'postmap: warning: ~/t: duplicate entry: "a"\n' });
  assert.equal((await postmap(["-s", "hash:t"])).out, "a\t1\nb\t2\nc\t3\n");
  assert.deepEqual(await postmap(["-i", "-w", "hash:t"], "a 9\n"), { code: 0, out: "", err: "" });
  assert.equal((await postmap(["-q", "a", "hash:t"])).out, "1\n");
  assert.deepEqual(await postmap(["-ir", "hash:t"], "a 9\n"), { code: 0, out: "", err: "" });
  assert.equal((await postmap(["-q", "a", "hash:t"])).out, "9\n");
  assert.deepEqual(await postmap(["-d", "B", "hash:t"]), { code: 0, out: "", err: "" });
  assert.equal((await postmap(["-d", "B", "hash:t"])).code, 1);
  assert.equal((await postmap(["-d", "-", "hash:t"], "zz\nc\n")).code, 0);
  assert.equal((await postmap(["-s", "hash:t"])).out, "a\t9\n");
  assert.equal(readFileSync(join(directory, "t"), "utf8"), "a 1\nb 2\n", "the text is never written");
});

test("postmap -i from many sides at once loses nothing", async () => {
  const { postmap } = setUp({});
  const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
  await Promise.all(keys.map((key) => postmap(["-i", "hash:t"], `${key} v\n`)));
  const listed = (await postmap(["-s", "hash:t"])).out;
  assert.deepEqual(
    listed.split("\n").filter(Boolean).sort(),
    keys.map((key) => `${key}\tv`),
  );
});

test("postmap -i makes an index where there is nothing", async () => {
  const { postmap } = setUp({});
  assert.deepEqual(await postmap(["-i", "hash:t"], "a 1\n"), { code: 0, out: "", err: "" });
  assert.equal((await postmap(["-q", "a", "hash:t"])).out, "1\n");
});

test("postmap -r and -w choose among duplicates of the text", async () => {
  const { postmap } = setUp({ t: "a 1\na 2\n" });
  assert.equal((await postmap(["-r", "hash:t"])).err, "");
  assert.equal((await postmap(["-q", "a", "hash:t"])).out, "2\n");
  assert.equal((await postmap(["-w", "hash:t"])).err, "");
  assert.equal((await postmap(["-q", "a", "hash:t"])).out, "1\n");
});

test("an edit after postmap counts at once, with Postfix's warning", async () => {
  const { directory, postmap } = setUp({ t: "a 1\n" });
  await postmap(["hash:t"]);
  writeFileSync(join(directory, "t"), "a 2\n");
  utimesSync(join(directory, "t"), new Date(), new Date(Date.now() + 5000));
  const { out, err } = await postmap(["-q", "a", "hash:t"]);
  assert.equal(out, "2\n");
  assert.match(err, /^postmap: warning: database ~\/t\.postern-index is older than source file ~\/t; /);
});

const MODES = [
  { mode: 0o640, argv: ["t"], want: 0o640, why: "as the text" },
  { mode: 0o600, argv: ["t"], want: 0o600, why: "passwords stay private" },
  { mode: 0o666, argv: ["t"], want: 0o644, why: "nobody else may write" },
  { mode: 0o600, argv: ["-p", "t"], want: 0o644, why: "-p" },
];

for (const c of MODES) {
  test(`postmap gives the index mode ${c.want.toString(8)}: ${c.why}`, async () => {
    const { directory, postmap } = setUp({ t: "a 1\n" });
    chmodSync(join(directory, "t"), c.mode);
    assert.equal((await postmap(c.argv)).code, 0);
    assert.equal(statSync(join(directory, "t.postern-index")).mode & 0o777, c.want);
  });
}

/** Postfix 3.7's answers to the same lines, from `postalias -s`. */
const ALIASES = [
  { in: "Postmaster: root", out: "postmaster:\troot\n", why: "names fold" },
  { in: 'abuse :\troot, "|cmd  x"', out: 'abuse:\troot, "|cmd  x"\n', why: "blanks inside quotes stay" },
  { in: "list:\n  a,\n  b", out: "list:\ta, b\n", why: "continued, blanks fold" },
  { in: '"with blank": joe', out: "with blank:\tjoe\n", why: "quoted name" },
  { in: '"a:b": joe', out: "a:b:\tjoe\n", why: "quoted colon" },
  { in: "inc: :include:/x/y", out: "inc:\t:include:/x/y\n", why: ":include:" },
  { in: "two words: x", out: "two words:\tx\n", why: "blank in a name" },
  { in: "nocolon", warning: "line 1: need name:value pair", why: "no colon" },
  { in: ":v", warning: "line 1: need name:value pair", why: "no name" },
  { in: "empty:", warning: "line 1: need name:value pair", why: "no value" },
  { in: 'quo"ted: z', warning: "line 1: need name:value pair", why: "open quote" },
  { in: '"user"@dom: y', warning: "line 1: name must be local", why: "domain" },
  { in: "a: 1\nA: 2", out: "a:\t1\n", warning: 'line 2: duplicate entry: "a"', why: "duplicate" },
];

for (const c of ALIASES) {
  test(`postalias ${c.why}: ${JSON.stringify(c.in)}`, async () => {
    const { postalias } = setUp({ aliases: `${c.in}\n` });
    const { code, err } = await postalias(["hash:aliases"]);
    assert.equal(code, 0);
    assert.equal(err, c.warning ? `postalias: warning: ~/aliases, ${c.warning}\n` : "");
    assert.equal((await postalias(["-s", "hash:aliases"])).out, c.out ?? "");
  });
}

test("postalias -q answers names", async () => {
  const { postalias } = setUp({ aliases: "root: alice\n" });
  assert.deepEqual(await postalias(["-q", "ROOT", "hash:aliases"]), { code: 0, out: "alice\n", err: "" });
  assert.equal((await postalias(["-q", "-", "hash:aliases"], "root\nx\n")).out, "root:\talice\n");
});

/** Nothing in a key reaches a file name, a pattern or an object. */
for (const key of ["\0", "a\rb", "%s", "'; --", "*", "$1", "__proto__", '"', "\\", "../t", ")(uid=*"]) {
  test(`postmap -q of a hostile key finds nothing: ${JSON.stringify(key)}`, async () => {
    const { postmap } = setUp({ t: "k v\n", re: "/^k$/ v\n", net: "10.0.0.0/8 v\n" });
    const tables = ["hash:t", "regexp:re", "pcre:re", "cidr:net", "inline:{k=v}", "environ:x", "unix:passwd.byname"];
    assert.deepEqual(await postmap(["-q", key, ...tables]), { code: 1, out: "", err: "" });
  });
}
