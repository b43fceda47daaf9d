/** A maildir that is not there, or half of it, and what is made durable. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeToMaildir } from "./maildir.ts";

const CASES: readonly { there: readonly string[]; in: string; synced: readonly string[]; why: string }[] = [
  { there: ["m/tmp", "m/new", "m/cur"], in: "m", synced: ["m/new"], why: "a whole one" },
  { there: [], in: "m", synced: ["m", "", "m/new"], why: "none" },
  { there: [], in: "a/b/m", synced: ["a/b/m", "a/b", "a", "", "a/b/m/new"], why: "none, nor the directories above" },
  { there: ["a"], in: "a/m", synced: ["a/m", "a", "a/m/new"], why: "none in a directory" },
  { there: ["m/new", "m/cur"], in: "m", synced: ["m", "m/new"], why: "no tmp/" },
  { there: ["m/tmp"], in: "m", synced: ["m", "m/new"], why: "only tmp/" },
  { there: ["m"], in: "m", synced: ["m", "m/new"], why: "an empty directory" },
];
for (const c of CASES) {
  test(`writeToMaildir() into a maildir of which is there: ${c.why}`, async (t) => {
    const root = mkdtempSync(join(tmpdir(), "maildir-"));
    t.after(() => rmSync(root, { recursive: true }));
    for (const path of c.there) mkdirSync(join(root, path), { recursive: true });
    const directory = join(root, c.in);
    const synced: string[] = [];
    const content = { sizeBytes: 3, chunks: () => [Buffer.from("x\r\n")] };
    const message = { directory, fileName: "1.x", head: Buffer.from("H: y\n"), content };
    await writeToMaildir(message, new AbortController().signal, async (path) => {
      synced.push(path.slice(root.length + 1));
    });
    assert.deepEqual(synced, c.synced);
    assert.deepEqual(readdirSync(directory).sort(), ["cur", "new", "tmp"]);
    assert.deepEqual(readdirSync(join(directory, "tmp")), []);
    assert.equal(readFileSync(join(directory, "new/1.x"), "utf8"), "H: y\nx\n");
  });
}

test("writeToMaildir() tells when a directory cannot be made durable", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "maildir-"));
  t.after(() => rmSync(root, { recursive: true }));
  const content = { sizeBytes: 3, chunks: () => [Buffer.from("x\r\n")] };
  const message = { directory: join(root, "m"), fileName: "1.x", head: Buffer.alloc(0), content };
  const broken = async () => {
    throw new Error("disk is broken");
  };
  await assert.rejects(writeToMaildir(message, new AbortController().signal, broken), /disk is broken/);
});

test("writeToMaildir() leaves nothing when new/ cannot be made durable, since it will be called again", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "maildir-"));
  t.after(() => rmSync(root, { recursive: true }));
  for (const name of ["tmp", "new", "cur"]) mkdirSync(join(root, name));
  const content = { sizeBytes: 3, chunks: () => [Buffer.from("x\r\n")] };
  const message = { directory: root, fileName: "1.x", head: Buffer.alloc(0), content };
  const broken = async () => {
    throw new Error("disk is broken");
  };
  await assert.rejects(writeToMaildir(message, new AbortController().signal, broken), /disk is broken/);
  assert.deepEqual(
    ["tmp", "new", "cur"].flatMap((name) => readdirSync(join(root, name))),
    [],
  );
});
