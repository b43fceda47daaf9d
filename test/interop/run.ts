/** test/interop/run.ts: `npm run test:interop`: Postern against real programs. Installs them with apt where it may.
 *  `--short` is for CI: the same tests, fewer message variants. */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const install = spawnSync("bash", [join(root, "scripts/install-peers.sh")], { stdio: "inherit" });
if (install.status !== 0) process.exit(install.status ?? 1);
const files = globSync(join(import.meta.dirname, "*.interop.ts")).sort();
const short = process.argv.includes("--short");
const tests = spawnSync(process.execPath, ["--test", "--test-concurrency=1", "--test-timeout=300000", ...files], {
  stdio: "inherit",
  env: { ...process.env, ...(short && { POSTERN_TEST_SHORT: "1" }) },
});
process.exit(tests.status ?? 1);
