/** The model of a power cut: which changes it keeps must be right, or `npm run test:crash -- --part power` proves nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DirectoryNode, historyOf } from "./crash/disk-history.ts";
import { imageAt, type Tree } from "./crash/disk-image.ts";
import { parseStrace } from "./testbed/strace-lines.ts";

const ROOT = "/site";

/** What stands in a tree, a line for each name; "/" at the end of a directory's. */
function listing(tree: Tree, above = ""): readonly string[] {
  return [...tree].flatMap(([name, entry]) =>
    entry instanceof Uint8Array
      ? [`${above}${name}: ${Buffer.from(entry).toString("latin1").replaceAll("\0", "_")}`]
      : [`${above}${name}/`, ...listing(entry, `${above}${name}/`)],
  );
}

function before(): DirectoryNode {
  const old = { kind: "file", initial: Buffer.from("old bytes"), largestBytes: 9 } as const;
  return { kind: "directory", initial: new Map([["old", { ...old }]]) };
}

const OPEN = `openat(AT_FDCWD</>, "${ROOT}/new", O_WRONLY|O_CREAT|O_EXCL, 0600) = 5<${ROOT}/new>`;
const WRITE = `write(5<${ROOT}/new>, "abc", 3) = 3`;
const MORE = `write(5<${ROOT}/new>, "def", 3) = 3`;
const SYNC = `fdatasync(5<${ROOT}/new>) = 0`;
const SYNC_ROOT = `fsync(6<${ROOT}>) = 0`;
const OVERWRITE = `pwrite64(7<${ROOT}/old>, "NEW", 3, 4) = 3`;
const SYNC_OLD = `fsync(7<${ROOT}/old>) = 0`;
const MKDIR = `mkdir("${ROOT}/box", 0700) = 0`;
const RENAME = `rename("${ROOT}/new", "${ROOT}/box/mail") = 0`;
const SYNC_BOX = `fsync(8<${ROOT}/box>) = 0`;
const OLD = "old: old bytes";

const CASES = [
  { why: "nothing was done", lines: [], want: [OLD], all: [OLD] },
  { why: "a file of which nothing was synced", lines: [OPEN, WRITE], want: [OLD], all: [OLD, "new: abc"] },
  { why: "a file without its name", lines: [OPEN, WRITE, SYNC], want: [OLD], all: [OLD, "new: abc"] },
  { why: "a name without its bytes", lines: [OPEN, WRITE, SYNC_ROOT], want: [OLD, "new: "], all: [OLD, "new: abc"] },
  { why: "both synced", lines: [OPEN, WRITE, SYNC, SYNC_ROOT], want: [OLD, "new: abc"], all: [OLD, "new: abc"] },
  {
    why: "written on after the sync",
    lines: [OPEN, WRITE, SYNC, SYNC_ROOT, MORE],
    want: [OLD, "new: abc"],
    all: [OLD, "new: abcdef"],
  },
  {
    why: "a directory synced before the name was in it",
    lines: [SYNC_ROOT, OPEN, WRITE, SYNC],
    want: [OLD],
    all: [OLD, "new: abc"],
  },
  { why: "written over", lines: [OVERWRITE], want: [OLD], all: ["old: old NEWes"] },
  { why: "written over and synced", lines: [OVERWRITE, SYNC_OLD], want: ["old: old NEWes"], all: ["old: old NEWes"] },
  {
    why: "a sync that failed",
    lines: [OVERWRITE, `fsync(7<${ROOT}/old>) = -1 EIO (Input/output error)`],
    want: [OLD],
    all: ["old: old NEWes"],
  },
  {
    why: "a sync that has not returned",
    lines: [OVERWRITE, `fsync(7<${ROOT}/old> <unfinished ...>`],
    want: [OLD],
    all: ["old: old NEWes"],
  },
  {
    why: "a sync that began before the write had returned",
    lines: [
      `pwrite64(7<${ROOT}/old>, "NEW", 3, 4 <unfinished ...>`,
      `2 fsync(7<${ROOT}/old> <unfinished ...>`,
      "<... pwrite64 resumed>) = 3",
      "2 <... fsync resumed>) = 0",
    ],
    want: [OLD],
    all: ["old: old NEWes"],
  },
  {
    why: "cut short",
    lines: [`ftruncate(7<${ROOT}/old>, 3) = 0`, SYNC_OLD],
    want: ["old: old"],
    all: ["old: old"],
  },
  { why: "removed", lines: [`unlink("${ROOT}/old") = 0`], want: [OLD], all: [] },
  { why: "removed by the directory", lines: [`unlinkat(9<${ROOT}>, "old", 0) = 0`, SYNC_ROOT], want: [], all: [] },
  {
    why: "a second name",
    lines: [`link("${ROOT}/old", "${ROOT}/two") = 0`, SYNC_ROOT],
    want: [OLD, "two: old bytes"],
    all: [OLD, "two: old bytes"],
  },
  {
    why: "a rename into a directory that nobody synced",
    lines: [OPEN, WRITE, SYNC, SYNC_ROOT, MKDIR, RENAME],
    want: [OLD, "new: abc"],
    all: [OLD, "box/", "box/mail: abc"],
  },
  {
    why: "a rename whose target is synced, into a directory without a name",
    lines: [OPEN, WRITE, SYNC, SYNC_ROOT, MKDIR, RENAME, SYNC_BOX],
    want: [OLD],
    all: [OLD, "box/", "box/mail: abc"],
  },
  {
    why: "a rename, all synced",
    lines: [OPEN, WRITE, SYNC, MKDIR, SYNC_ROOT, RENAME, SYNC_BOX],
    want: [OLD, "box/", "box/mail: abc"],
    all: [OLD, "box/", "box/mail: abc"],
  },
  { why: "of another directory", lines: ['unlink("/elsewhere/old") = 0'], want: [OLD], all: [OLD] },
];

/** Each line by thread 1 unless it begins with a thread of its own. */
function imageOf(lines: readonly string[], survives: () => boolean, pieceBytes = 512): readonly string[] {
  const trace = lines.map((line) => (/^\d /.test(line) ? line.replace(" ", " 1.5 ") : `1 1.5 ${line}`)).join("\n");
  const history = historyOf(parseStrace(trace), ROOT, before());
  return listing(imageAt(history, { line: lines.length + 1, pieceBytes, survives }));
}

for (const { why, lines, want, all } of CASES) {
  test(`after a power cut: ${why}`, () => {
    assert.deepEqual(
      imageOf(lines, () => false),
      want,
      "nothing unsynced survives",
    );
    assert.deepEqual(
      imageOf(lines, () => true),
      all,
      "all unsynced survives",
    );
  });
}

test("after a power cut: pieces of a write, or its size alone", () => {
  const answers = (text: string) => {
    const left = [...text];
    return () => left.shift() === "y";
  };
  const written = [`pwrite64(7<${ROOT}/old>, "0123456789", 10, 3) = 10`];
  assert.deepEqual(imageOf(written, answers("nynnn"), 4), ["old: old0bytes"]);
  assert.deepEqual(imageOf(written, answers("nnynn"), 4), ["old: old 1234s"]);
  assert.deepEqual(imageOf(written, answers("nnnyn"), 4), ["old: old byte5678"]);
  assert.deepEqual(imageOf(written, answers("nnnny"), 4), ["old: old bytes___9"], "zeros where nothing came");
  assert.deepEqual(imageOf(written, answers("ynnnn"), 4), ["old: old bytes____"], "the size alone");
});

test("what the trace does not have whole is refused", () => {
  assert.throws(() => imageOf([`write(7<${ROOT}/old>, "abc"..., 300) = 300`], () => true), /Not whole/);
});
