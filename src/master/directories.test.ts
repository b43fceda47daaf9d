/** Tests of directories.ts: what a compromised worker may have left in a directory of its own. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { prepareDirectories, queueDirectories } from "./directories.ts";

const root = mkdtempSync(join(tmpdir(), "postern-directories-"));
after(() => rmSync(root, { recursive: true }));

/** Only root can give directories away; anybody else keeps them. */
const uid = process.getuid?.() === 0 ? 65_534 : (process.getuid?.() ?? 0);
const gid = process.getuid?.() === 0 ? 65_534 : (process.getgid?.() ?? 0);

test("prepareDirectories() gives mail_owner its directories, and nothing that a link of its names", () => {
  const dirs = queueDirectories(parametersOf({ queue_directory: join(root, "spool") }));
  const user = { name: "mail", uid, gid };
  prepareDirectories(dirs, user);
  const mine = [dirs.queue, dirs.pickup, dirs.pipe, dirs.mtaSts, dirs.tlsReports, dirs.maildrop];
  assert.deepEqual([...new Set(mine.map((path) => statSync(path).uid))], [uid]);

  const foreign = join(root, "etc");
  mkdirSync(foreign);
  const before = statSync(foreign).uid;
  rmSync(join(dirs.pickup, "corrupt"), { recursive: true });
  symlinkSync(foreign, join(dirs.pickup, "corrupt"));
  prepareDirectories(dirs, user);
  assert.equal(statSync(foreign).uid, before);
});
