/** Durable writes: the order of the steps, and what is left behind when one of them fails. */
import assert from "node:assert/strict";
import { mkdtemp, open, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DirectorySync, type DurableFs, type DurableHandle, writeFileDurably } from "./durable.ts";

async function directoryFor(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "durable-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** The real file system, which notes its steps and fails at the one named. */
function failingFs(steps: string[], failAt?: string): DurableFs {
  const step = (name: string) => {
    steps.push(name);
    if (name === failAt) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC", syscall: name });
  };
  const wrap = (handle: DurableHandle, kind: string): DurableHandle => ({
    async write(bytes, offset, length) {
      step("write");
      // Short writes must be continued.
      return handle.write(bytes, offset, Math.min(length, 3));
    },
    chmod: (mode) => handle.chmod(mode),
    chown: (uid, gid) => handle.chown(uid, gid),
    async sync() {
      step(`sync ${kind}`);
      await handle.sync();
    },
    close: () => handle.close(),
  });
  return {
    async open(path, flags, mode) {
      step(`open ${flags}`);
      return wrap(await open(path, flags, mode), flags === "r" ? "directory" : "file");
    },
    async rename(from, to) {
      step("rename");
      await rename(from, to);
    },
    unlink,
  };
}

test("writeFileDurably() syncs the file before the rename and the directory after it", async (t) => {
  const path = join(await directoryFor(t), "file");
  const steps: string[] = [];
  await writeFileDurably(path, Buffer.from("new bytes"), { mode: 0o640, fs: failingFs(steps) });
  assert.equal(await readFile(path, "utf8"), "new bytes");
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  assert.deepEqual(steps, ["open wx", "write", "write", "write", "sync file", "rename", "open r", "sync directory"]);
});

for (const failAt of ["open wx", "write", "sync file", "rename"]) {
  test(`writeFileDurably() leaves the old file and nothing else when "${failAt}" fails`, async (t) => {
    const directory = await directoryFor(t);
    const path = join(directory, "file");
    await writeFile(path, "old");
    const write = writeFileDurably(path, Buffer.from("new"), { mode: 0o600, fs: failingFs([], failAt) });
    await assert.rejects(write, { code: "ENOSPC" });
    assert.equal(await readFile(path, "utf8"), "old");
    assert.deepEqual(await readdir(directory), ["file"]);
  });
}

test("writeFileDurably() tells when the directory could not be synced", async (t) => {
  const path = join(await directoryFor(t), "file");
  const fs = failingFs([], "sync directory");
  await assert.rejects(writeFileDurably(path, Buffer.from("new"), { mode: 0o600, fs }), { code: "ENOSPC" });
});

test("DirectorySync shares one later sync among those who came while one was running", async (t) => {
  const steps: string[] = [];
  const shared = new DirectorySync(await directoryFor(t), failingFs(steps));
  const first = shared.sync();
  await Promise.all([first, shared.sync(), shared.sync(), shared.sync()]);
  assert.equal(steps.filter((step) => step === "sync directory").length, 2);
  await shared.sync();
  assert.equal(steps.filter((step) => step === "sync directory").length, 3);
});

test("DirectorySync recovers after a failure", async (t) => {
  const steps: string[] = [];
  let failing: string | undefined = "sync directory";
  const directory = await directoryFor(t);
  const shared = new DirectorySync(directory, {
    ...failingFs(steps),
    open: (...a) => failingFs(steps, failing).open(...a),
  });
  await assert.rejects(shared.sync());
  failing = undefined;
  await shared.sync();
});
