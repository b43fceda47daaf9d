import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { checkUsers } from "./check-users.ts";
import { secretsOf } from "./testdata/accounts.ts";
import {
  addUser,
  checkLogin,
  deleteUser,
  type Edit,
  listUsers,
  newUserFile,
  parseUsers,
  setPassword,
} from "./user-file.ts";
import { editUserFile, loadUserFile } from "./user-store.ts";
import { formatScram, formatScrypt, parseScram, parseScrypt } from "./verifiers.ts";

const plain = secretsOf("pencil");
const withCram = secretsOf("pencil", { cram: true });

function done(edit: Edit): string {
  assert.equal(edit.kind, "done");
  return edit.kind === "done" ? edit.text : "";
}

test("parseUsers() reads what addUser() wrote, and gives the secrets back", () => {
  const text = done(addUser(done(addUser(newUserFile(), "alice", plain)), "bob@example.org", withCram));
  const table = parseUsers(text, "users");
  assert.deepEqual(table.problems, []);
  assert.equal(table.saltKey?.length, 32);
  assert.deepEqual([...table.users.keys()], ["alice", "bob@example.org"]);
  assert.deepEqual(table.users.get("alice")?.scrypt, plain.scrypt);
  assert.deepEqual(table.users.get("alice")?.scram, plain.scram);
  assert.equal(table.users.get("alice")?.cramSecret, undefined);
  assert.equal(Buffer.from(table.users.get("bob@example.org")?.cramSecret ?? []).toString(), "pencil");
});

test("edits keep comments, empty lines and other users as they are", () => {
  const before = done(addUser("# staff\n\n", "alice", plain));
  const text = done(addUser(`${before}# devices\n`, "printer", plain));
  const changed = done(setPassword(text, "alice", withCram));
  assert.deepEqual(
    changed.split("\n").filter((_, i) => i !== 2),
    text.split("\n").filter((_, i) => i !== 2),
  );
  assert.equal(
    done(deleteUser(changed, "alice")),
    text
      .split("\n")
      .filter((_, i) => i !== 2)
      .join("\n"),
  );
});

test("addUser() mends a file without a last line end", () => {
  const text = done(addUser(done(addUser("", "alice", plain)).trimEnd(), "bob", plain));
  assert.deepEqual(
    listUsers(text, "users").map((user) => user.login),
    ["alice", "bob"],
  );
});

test("edits refuse a login that is there, or is not", () => {
  const text = done(addUser("", "alice", plain));
  assert.deepEqual(addUser(text, "alice", plain), { kind: "refused", reason: 'login "alice" exists already' });
  assert.deepEqual(setPassword(text, "alic", plain), { kind: "refused", reason: 'no login "alic"' });
  assert.deepEqual(deleteUser(newUserFile(), ""), { kind: "refused", reason: 'no login ""' });
});

test("deleteUser() takes every line of the login, so that no older password comes alive", () => {
  const line = done(addUser("", "alice", plain));
  assert.equal(done(deleteUser(`${line}${line}# end\n`, "alice")), "# end\n");
});

const logins = [
  { in: "alice", good: true, why: "plain" },
  { in: "alice+tag@example.org", good: true, why: "address" },
  { in: "jürgen", good: true, why: "UTF-8" },
  { in: "", good: false, why: "empty" },
  { in: "a:b", good: false, why: "separator of fields" },
  { in: "a,b", good: false, why: "separator of lists" },
  { in: "a b", good: false, why: "blank" },
  { in: "a\nb", good: false, why: "line end" },
  { in: "a\x7f", good: false, why: "DEL" },
  { in: "a\u0085b", good: false, why: "C1 control" },
  { in: "a\u2028b", good: false, why: "line separator" },
  { in: "#a", good: false, why: "looks like a comment" },
  { in: "a\u00adb", good: false, why: "SASLprep would change it" },
  { in: "x".repeat(256), good: false, why: "too long" },
];
for (const c of logins) {
  test(`checkLogin() ${c.why}: ${JSON.stringify(c.in.slice(0, 30))}`, () => {
    assert.equal(checkLogin(c.in) === undefined, c.good);
  });
}

test("parseUsers() names the line of each complaint, 1 SCRAM iteration is one (LIM-21), and never quotes a secret", () => {
  const good = done(addUser("", "alice", plain)).trimEnd();
  const bad = [
    { line: "bob", why: "no fields" },
    { line: good.replace("alice", "a b"), why: "bad login" },
    { line: good.replace("$scrypt$", "$bcrypt$").replace("alice", "x1"), why: "unknown hash" },
    { line: good.replace("ln=4", "ln=40").replace("alice", "x2"), why: "cost without end" },
    { line: good.replace("$4096:", "$1:").replace("alice", "x3"), why: "iterations below RFC 7677" },
    { line: `${good}:pencil`.replace("alice", "x4"), why: "CRAM secret in the clear" },
    { line: good, why: "second time" },
  ];
  const { users, problems } = parseUsers([good, ...bad.map((row) => row.line)].join("\n"), "users");
  assert.deepEqual([...users.keys()], ["alice"]);
  assert.deepEqual(
    problems.map((problem) => problem.at),
    bad.map((_, i) => ({ file: "users", line: i + 2 })),
  );
  const key = Buffer.from(plain.scrypt.key).toString("base64").slice(0, 20);
  for (const { text } of problems) assert.ok(!text.includes(key) && !text.includes("pencil"), text);
});

test("parseUsers() never throws", () => {
  const line = done(addUser("", "alice", plain)).trimEnd();
  fc.assert(
    fc.property(fc.string(), fc.nat(line.length), (noise, at) => {
      parseUsers(noise, "users");
      parseUsers(line.slice(0, at) + noise + line.slice(at), "users");
    }),
  );
});

test("verifiers: parse(format()) is the identity", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
  fc.assert(
    fc.property(bytes(16), bytes(32), bytes(32), (salt, key, other) => {
      const scrypt = { logN: 15, r: 8, p: 1, salt, key };
      assert.deepEqual(parseScrypt(formatScrypt(scrypt)), scrypt);
      const scram = { iterations: 65_536, salt, storedKey: key, serverKey: other };
      assert.deepEqual(parseScram(formatScram(scram)), scram);
    }),
  );
});

test("checkUsers() warns when CRAM-MD5 is announced and not for all", () => {
  const some = done(addUser(done(addUser("", "alice", plain)), "bob", withCram));
  const [problem] = checkUsers(some, "users");
  assert.equal(problem?.severity, "warning");
  assert.deepEqual(problem?.at, { file: "users", line: 1 });
  assert.match(problem?.text ?? "", /1 of 2 logins have no CRAM-MD5 secret, "alice"/);
  assert.deepEqual(checkUsers(done(addUser("", "alice", plain))), []);
  assert.deepEqual(checkUsers(done(addUser("", "bob", withCram))), []);
  assert.equal(checkUsers("nonsense")[0]?.severity, "error");
});

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "postern-users-"));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test("editUserFile() makes the file at mode 0600 and tightens an open one", () =>
  inDirectory(async (directory) => {
    const path = join(directory, "users");
    await editUserFile(path, (text) => addUser(text, "alice", plain));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await chmod(path, 0o644);
    await editUserFile(path, (text) => addUser(text, "bob", plain));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(
      listUsers((await loadUserFile(path)) ?? "", path).map((user) => user.login),
      ["alice", "bob"],
    );
  }));

test("editUserFile() refuses a symbolic link and leaves its target alone", () =>
  inDirectory(async (directory) => {
    const path = join(directory, "users");
    await writeFile(join(directory, "target"), "precious");
    await symlink(join(directory, "target"), path);
    const edit = editUserFile(path, (text) => addUser(text, "alice", plain));
    await assert.rejects(edit, { name: "UserFileError", code: "ELOOP" });
    assert.equal(await readFile(join(directory, "target"), "utf8"), "precious");
    await assert.rejects(loadUserFile(path), { code: "ELOOP" });
  }));

test("editUserFile() is refused while another edit holds the lock, and frees its own", () =>
  inDirectory(async (directory) => {
    const path = join(directory, "users");
    await writeFile(`${path}.lock`, "");
    await assert.rejects(
      editUserFile(path, (text) => addUser(text, "alice", plain)),
      { code: "LOCKED" },
    );
    await rm(`${path}.lock`);
    await editUserFile(path, () => ({ kind: "refused", reason: "no" }));
    await assert.rejects(stat(path), { code: "ENOENT" });
    await assert.rejects(stat(`${path}.lock`), { code: "ENOENT" });
  }));

test("loadUserFile() refuses a directory and reports a missing file as undefined", () =>
  inDirectory(async (directory) => {
    await assert.rejects(loadUserFile(directory), { code: "NOT_A_FILE" });
    assert.equal(await loadUserFile(join(directory, "none")), undefined);
  }));
