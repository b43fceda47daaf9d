/* scripts/run.js COMMAND [ARGS…]: sets the clone up if need be, then runs the command with the pinned Node.js first on
 * PATH. No shell: arguments, globs included, arrive as they were given. Plain JavaScript for Node 20. */
import { spawn } from "node:child_process";
import os from "node:os";
import { setUpOrExit } from "./setup.js";

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  process.stderr.write("usage: node scripts/run.js COMMAND [ARGS...]\n");
  process.exit(64);
}

const child = spawn(command, args, { env: setUpOrExit(), stdio: "inherit" });
// A terminal sends SIGINT and SIGQUIT to the whole foreground group: the child has them already.
const fromTerminal = process.stdin.isTTY ? ["SIGINT", "SIGQUIT"] : [];
for (const signal of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (!fromTerminal.includes(signal)) child.kill(signal);
  });
}
child.on("error", (error) => {
  process.stderr.write(`run: cannot run ${command}: ${error.message}\n`);
  process.exit(error.code === "ENOENT" ? 127 : 126);
});
child.on("exit", (code, signal) => {
  process.exit(signal ? 128 + os.constants.signals[signal] : code);
});
