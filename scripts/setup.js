/* scripts/setup.js: makes a clone ready to run: the pinned Node.js in tools/runtime/, then the locked dependencies.
 * Plain JavaScript for Node 20, because it runs before anything is installed; imports nothing but Node itself.
 * Does nothing, quickly, when both are in step with their lock files. Called by scripts/run.js before each command. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const RUNTIME = path.join(ROOT, "tools", "runtime");
const LOCK_FILE = path.join(ROOT, "var", "setup.lock");
const NEEDED = [24, 15];
const LOCK_WAIT_MS = 300_000;

/** Variables that `npm run` gives its scripts and that would lead an npm started inside one astray. */
const NPM_RUN_VARIABLES =
  /^(npm_lifecycle_|npm_package_|npm_command$|npm_execpath$|npm_node_execpath$|npm_config_(local_prefix|global_prefix|prefix|user_agent|ignore_scripts)$|INIT_CWD$)/;

class SetupError extends Error {}

/**
 * Installs what is missing or stale and returns the environment in which `node` is the pinned one.
 * Throws SetupError with one line that says what to do.
 */
export function setUp() {
  const plan = [];
  const pinned = process.platform === "linux" && process.arch === "x64";
  if (pinned) plan.push({ name: "the pinned Node.js", dir: RUNTIME });
  else if (!newEnough(process.versions.node)) {
    throw new SetupError(`needs Node.js ${NEEDED.join(".")} or newer on ${process.platform}-${process.arch}`);
  }
  plan.push({ name: "the locked dependencies", dir: ROOT });
  const env = environment(pinned);
  if (plan.some(isStale)) {
    withLock(() => {
      for (const step of plan) if (isStale(step)) install(step, env);
    });
  }
  return env;
}

function newEnough(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

function environment(pinned) {
  const kept = Object.entries(process.env).filter(([name]) => !NPM_RUN_VARIABLES.test(name));
  const bins = [path.join(ROOT, "node_modules", ".bin")];
  if (pinned) bins.unshift(path.join(RUNTIME, "node_modules", ".bin"));
  return {
    // What Node.js made of a source file is kept: most of the time of a test would else go into that. As in bin/postern.js.
    NODE_COMPILE_CACHE: path.join(ROOT, "node_modules", ".cache", "postern", String(process.getuid?.() ?? "all")),
    ...Object.fromEntries(kept),
    PATH: [...bins, process.env.PATH ?? ""].join(path.delimiter),
  };
}

function lockHash(dir) {
  return createHash("sha256")
    .update(readFileSync(path.join(dir, "package-lock.json")))
    .digest("hex");
}

function stampOf(dir) {
  return path.join(dir, "node_modules", ".postern-lock");
}

/** Stale when never finished (npm ci removes the stamp with the folder) or finished for another lock file. */
function isStale({ dir }) {
  const stamp = stampOf(dir);
  return !existsSync(stamp) || readFileSync(stamp, "utf8").trim() !== lockHash(dir);
}

function install({ name, dir }, env) {
  process.stderr.write(`setup: installing ${name} (npm ci in ${path.relative(ROOT, dir) || "."})\n`);
  const started = performance.now();
  const hash = lockHash(dir);
  // --include=dev: NODE_ENV=production must not leave the tests without their tools.
  const args = ["ci", "--prefix", dir, "--include=dev", "--no-fund", "--no-audit", "--ignore-scripts"];
  const run = spawnSync("npm", args, { cwd: dir, env, stdio: ["ignore", 2, 2] });
  if (run.error) throw new SetupError(`cannot run npm: ${run.error.message}; install npm`);
  if (run.status !== 0) throw new SetupError(`npm ci failed for ${name}; its messages are above`);
  writeFileSync(stampOf(dir), `${hash}\n`);
  process.stderr.write(`setup: ${name} ready (${((performance.now() - started) / 1000).toFixed(1)} s)\n`);
}

/** One setup at a time: a second `npm ci` would remove the folder the first one fills. */
function withLock(work) {
  mkdirSync(path.dirname(LOCK_FILE), { recursive: true });
  const giveUpAt = performance.now() + LOCK_WAIT_MS;
  while (!takeLock()) {
    if (performance.now() > giveUpAt) throw new SetupError(`another setup is running; if not, remove ${LOCK_FILE}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  try {
    work();
  } finally {
    rmSync(LOCK_FILE, { force: true });
  }
}

function takeLock() {
  try {
    writeFileSync(LOCK_FILE, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  if (!ownerLives()) rmSync(LOCK_FILE, { force: true });
  return false;
}

function ownerLives() {
  try {
    const owner = Number(readFileSync(LOCK_FILE, "utf8"));
    if (!owner) return true; // just created, its pid not written yet
    process.kill(owner, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM"; // ESRCH: the owner is gone; ENOENT: the lock is
  }
}

/** setUp() for a program: a failure is one line and exit 78. */
export function setUpOrExit() {
  try {
    return setUp();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`setup: ${error.message}\n`);
    process.exit(78);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUpOrExit();
