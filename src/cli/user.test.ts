import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseUsers } from "../sasl/user-file.ts";
import { runUser } from "./user.ts";

async function setUp(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "postern-user-"));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, "users");
  const run = async (argv: readonly string[], input: { stdin?: string; typed?: readonly string[] } = {}) => {
    let out = "";
    let err = "";
    const typed = [...(input.typed ?? [])];
    const code = await runUser(argv, {
      stdin: async () => input.stdin ?? "",
      stdout: { write: (text: string) => (out += text) },
      stderr: { write: (text: string) => (err += text) },
      ...(input.typed && { promptPassword: async () => typed.shift() ?? "" }),
      userFile: async () => path,
    });
    return { code, out, err };
  };
  const users = async () => parseUsers(await readFile(path, "utf8"), path).users;
  return { run, path, users };
}

test("user: add, list, passwd, delete", async (t) => {
  const { run, users } = await setUp(t);
  assert.deepEqual(await run(["add", "alice", "--password-stdin"], { stdin: "pencil\n" }), {
    code: 0,
    out: "",
    err: "",
  });
  assert.equal((await run(["add", "bob", "--cram-md5"], { typed: ["pen", "pen"] })).code, 0);
  assert.equal((await run(["list"])).out, "alice\nbob (CRAM-MD5)\n");
  const json = JSON.parse((await run(["list", "--json"])).out);
  assert.deepEqual(json, [
    { login: "alice", cramMd5: false },
    { login: "bob", cramMd5: true },
  ]);
  const before = (await users()).get("bob");
  assert.equal((await run(["passwd", "bob", "--password-stdin"], { stdin: "ink" })).code, 0);
  const after = (await users()).get("bob");
  assert.notDeepEqual(after?.scrypt.key, before?.scrypt.key);
  assert.equal(
    Buffer.from(after?.cramSecret ?? []).toString(),
    "ink",
    "a CRAM-MD5 account stays one, with the new secret",
  );
  assert.equal((await run(["delete", "alice"])).code, 0);
  assert.equal((await run(["list"])).out, "bob (CRAM-MD5)\n");
});

const STDIN = "--password-stdin";
const refusals = [
  { argv: [], code: 64, err: /^postern: user: no command given\nUsage:/, why: "nothing" },
  { argv: ["ad"], code: 64, err: /"ad": unknown command/, why: "unknown command" },
  { argv: ["add"], code: 64, err: /add: expected one LOGIN, got 0/, why: "no login" },
  { argv: ["add", "a", "b"], code: 64, err: /got 2/, why: "two logins" },
  { argv: ["list", "--jason"], code: 64, err: /unknown option "--jason"/, why: "unknown option" },
  { argv: ["delete", "x", STDIN], code: 64, err: /unknown option/, why: "option of another command" },
  {
    argv: ["add", "a:b", STDIN],
    stdin: "x",
    code: 1,
    err: /^postern: user: "a:b": .*colon.*; choose another login\n$/,
    why: "colon",
  },
  {
    argv: ["add", "a\nb", STDIN],
    stdin: "x",
    code: 1,
    err: /^postern: user: "a\\nb": login holds control .*\n$/,
    why: "control character",
  },
  { argv: ["add", "alice", STDIN], stdin: "", code: 1, err: /password: it is empty/, why: "empty password" },
  { argv: ["add", "alice", STDIN], stdin: "a\nb\n", code: 1, err: /more than one line/, why: "two lines" },
  {
    argv: ["add", "alice", STDIN],
    stdin: "a\u0007b",
    code: 1,
    err: /RFC 4013/,
    why: "control character in the password",
  },
  { argv: ["add", "alice"], code: 64, err: /no terminal to ask on; use --password-stdin/, why: "no terminal" },
  { argv: ["add", "alice"], typed: ["a", "b"], code: 1, err: /the two entries differ/, why: "mistyped" },
  {
    argv: ["passwd", "ghost", STDIN],
    stdin: "x",
    code: 1,
    err: /no login "ghost"; see "postern user list"/,
    why: "unknown login",
  },
  { argv: ["delete", "ghost"], code: 1, err: /no login "ghost"/, why: "unknown login" },
  { argv: ["list"], code: 78, err: /no such file; make it with "postern user add LOGIN"/, why: "no file" },
];
for (const c of refusals) {
  test(`user ${JSON.stringify(c.argv)} ${c.why}: ${c.code}`, async (t) => {
    const { run } = await setUp(t);
    const { argv, stdin, typed } = { stdin: "", typed: undefined, ...c };
    const result = await run(argv, typed ? { typed } : { stdin });
    assert.equal(result.code, c.code);
    assert.match(result.err, c.err);
    assert.equal(result.out, "");
  });
}

test("user add refuses a second one of the same login, before it asks for a password", async (t) => {
  const { run } = await setUp(t);
  await run(["add", "alice", STDIN], { stdin: "pencil" });
  const { code, err } = await run(["add", "alice"]);
  assert.equal(code, 1);
  assert.equal(err, 'postern: user: "alice": login "alice" exists already; use "postern user passwd alice"\n');
});

test("user: a symbolic link, a lock and a bad line", async (t) => {
  const { run, path } = await setUp(t);
  await writeFile(`${path}.lock`, "");
  assert.equal((await run(["delete", "alice"])).code, 75);
  await rm(`${path}.lock`);
  await writeFile(path, "# mine\nbob:x\n");
  const listed = await run(["list"]);
  assert.equal(listed.code, 78);
  assert.ok(listed.err.startsWith(`postern: user: ${path}:2: login "bob"`), listed.err);
  await rm(path);
  await symlink("/nonexistent", path);
  const { code, err } = await run(["add", "alice", STDIN], { stdin: "pencil" });
  assert.equal(code, 77);
  assert.ok(err.endsWith("users: is a symbolic link; name the file itself in postern_user_file\n"), err);
});

test("user --help is no error", async (t) => {
  const { run } = await setUp(t);
  const { code, out } = await run(["--help"]);
  assert.equal(code, 0);
  assert.match(out, /^Usage: postern user add/);
});
