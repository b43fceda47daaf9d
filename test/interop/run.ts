/** test/interop/run.ts: `npm run test:interop`: Postern against real programs. Installs them with apt where it may.
 *  `--short` is for CI: less of the largest content, and without the comparisons that take a minute each. */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { basename, join } from "node:path";

const root = join(import.meta.dirname, "../..");
const install = spawnSync("bash", [join(root, "scripts/install-peers.sh")], { stdio: "inherit" });
if (install.status !== 0) process.exit(install.status ?? 1);
const short = process.argv.includes("--short");
/** Hundreds of cases against Postfix each; `npm run test:interop` and `npm run test:full` run them. */
const LONG = ["checks", "milter", "milter-events", "other-milters", "peers", "real-milters", "rewriting"].map(
  (name) => `${name}.interop.ts`,
);
const files = globSync(join(import.meta.dirname, "*.interop.ts"))
  .filter((file) => !short || !LONG.includes(basename(file)))
  .sort();
const tests = spawnSync(process.execPath, ["--test", "--test-concurrency=1", "--test-timeout=300000", ...files], {
  stdio: "inherit",
  env: { ...process.env, ...(short && { POSTERN_TEST_SHORT: "1" }) },
});
process.exit(tests.status ?? 1);
