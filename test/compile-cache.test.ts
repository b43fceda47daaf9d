/** test/compile-cache.test.ts: what the launcher keeps from one start to the next, and whom it trusts with it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";

const ROOT = dirname(import.meta.dirname);

describe("the compile cache of bin/postern.js", { concurrency: false, timeout: 60_000 }, () => {
  let directory: string;
  const uid = String(process.getuid?.());

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "postern-cache-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  /** A checkout of its own, whose cache is empty. */
  function checkout(name: string): { root: string; cache: string } {
    const root = join(directory, name);
    for (const part of ["bin", "src", "package.json"]) cpSync(join(ROOT, part), join(root, part), { recursive: true });
    mkdirSync(join(root, "node_modules"));
    for (const part of readdirSync(join(ROOT, "node_modules"))) {
      if (!part.startsWith(".")) symlinkSync(join(ROOT, "node_modules", part), join(root, "node_modules", part));
    }
    return { root, cache: join(root, "node_modules", ".cache", "postern", uid) };
  }

  function defaultOf(root: string, parameter: string): string {
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    const words = [join(root, "bin/postern.js"), "postconf", "-d", parameter];
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { env, encoding: "utf8" });
    assert.equal(stderr, "");
    assert.equal(status, 0);
    return stdout;
  }

  test("is filled by the first start, in a directory that only its user can write to", () => {
    const { root, cache } = checkout("first");
    assert.equal(defaultOf(root, "bounce_queue_lifetime"), "bounce_queue_lifetime = 5d\n");
    assert.equal(statSync(cache).mode & 0o022, 0);
    assert.notEqual(readdirSync(cache, { recursive: true }).length, 0);
    assert.equal(defaultOf(root, "bounce_queue_lifetime"), "bounce_queue_lifetime = 5d\n");
  });

  test("follows the source", () => {
    const { root } = checkout("edited");
    defaultOf(root, "bounce_queue_lifetime");
    const edited = spawnSync("sed", ["-i", 's/"5d"/"6d"/', ...sources(root)]);
    assert.equal(edited.status, 0);
    assert.equal(defaultOf(root, "bounce_queue_lifetime"), "bounce_queue_lifetime = 6d\n");
  });

  test("is not used where others can write to it", () => {
    const { root, cache } = checkout("open");
    mkdirSync(cache, { recursive: true });
    chmodSync(cache, 0o777);
    defaultOf(root, "bounce_queue_lifetime");
    assert.deepEqual(readdirSync(cache), []);
  });

  test("is not used through a symbolic link", () => {
    const { root, cache } = checkout("link");
    const elsewhere = join(directory, "elsewhere");
    mkdirSync(elsewhere);
    mkdirSync(dirname(cache), { recursive: true });
    symlinkSync(elsewhere, cache);
    defaultOf(root, "bounce_queue_lifetime");
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  test("is done without where it cannot be made", () => {
    const { root, cache } = checkout("none");
    rmSync(join(root, "node_modules", ".cache"), { recursive: true, force: true });
    // A file in the way stops root, too.
    cpSync(join(root, "package.json"), join(root, "node_modules", ".cache"));
    assert.equal(defaultOf(root, "bounce_queue_lifetime"), "bounce_queue_lifetime = 5d\n");
    assert.equal(existsSync(cache), false);
  });
});

function sources(root: string): string[] {
  const params = join(root, "src/config/params");
  return readdirSync(params).map((name) => join(params, name));
}
