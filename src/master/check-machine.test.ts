/** Tests of master/check-machine.ts: what a start would miss on this machine. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { formatProblem } from "../config/check.ts";
import { Parameters } from "../config/parameters.ts";
import { checkMachine } from "./check-machine.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-check-machine-"));
for (const name of ["incoming", "active", "deferred"]) mkdirSync(join(directory, "postfix", name), { recursive: true });
mkdirSync(join(directory, "own"));
after(() => rmSync(directory, { recursive: true }));

const CASES = [
  { set: ["mail_owner = nobody", "queue_directory = DIR/own"], uid: 0, want: [], why: "nothing to say" },
  { set: ["mail_owner = nobody", "queue_directory = DIR/none"], uid: 0, want: [], why: "a queue that start will make" },
  {
    set: ["mail_owner = postern-no-such", "queue_directory = DIR/own"],
    uid: 0,
    want: [
      "main.cf:1: warning: mail_owner = postern-no-such: no such account; create it: useradd --system --no-create-home postern-no-such",
    ],
    why: "root starts it, and there is no account to run as",
  },
  {
    set: ["mail_owner = postern-no-such", "queue_directory = DIR/own"],
    uid: 1000,
    want: [],
    why: "a user starts it: everything runs as he",
  },
  {
    set: ["mail_owner = root", "queue_directory = DIR/own"],
    uid: 0,
    want: ["main.cf:1: warning: mail_owner = root is root; name an account without privileges"],
    why: "no privileges are given up",
  },
  {
    set: ["mail_owner = nobody", "queue_directory = DIR/own", "postern_workers = 0"],
    uid: 0,
    want: [
      "main.cf:3: warning: postern_workers = 0 is refused as root: nothing would give up privileges; set 1 or more",
    ],
    why: "one process that is root",
  },
  {
    set: ["mail_owner = nobody", "queue_directory = DIR/postfix"],
    uid: 0,
    want: [
      'main.cf:2: warning: Queue directory "DIR/postfix" belongs to Postfix: set queue_directory to a directory of Postern\'s own',
    ],
    why: "Postfix's queue",
  },
] as const;

for (const { set, uid, want, why } of CASES) {
  test(`checkMachine() ${why}`, () => {
    const assignments = set.map((line, i) => {
      const [name = "", value = ""] = line.replace("DIR", directory).split(" = ");
      return { name, value, at: { file: "main.cf", line: i + 1 } };
    });
    const found = checkMachine(new Parameters({ assignments, builtins: new Map() }), new Map(), uid);
    assert.deepEqual(
      found.map((problem) => formatProblem(problem).replace(directory, "DIR")),
      [...want],
    );
  });
}
