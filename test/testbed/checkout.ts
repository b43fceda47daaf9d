/** test/testbed/checkout.ts: a checkout that an unprivileged worker can read. Run as root from a private directory, the
 *  tests would otherwise fail for a reason that has nothing to do with Postern. */
import { cpSync, mkdirSync, mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = dirname(dirname(import.meta.dirname));
const RUNTIME_DEPENDENCIES = ["re2js", "ipaddr.js", "@mongodb-js/saslprep", "sparse-bitfield", "memory-pager"];

let found: string | undefined;

/** The repository's root, or a readable copy of what the server needs. */
export function readableCheckout(): string {
  found ??= process.getuid?.() !== 0 || reachable(ROOT) ? ROOT : copy();
  return found;
}

/** True if everybody may pass through every directory on the way. */
function reachable(path: string): boolean {
  if ((statSync(path).mode & 0o005) !== 0o005 && (statSync(path).mode & 0o001) === 0) return false;
  return dirname(path) === path || reachable(dirname(path));
}

function copy(): string {
  const target = mkdtempSync(join(tmpdir(), "postern-checkout-"));
  for (const name of ["bin", "src", "package.json"]) cpSync(join(ROOT, name), join(target, name), { recursive: true });
  mkdirSync(join(target, "node_modules"), { recursive: true });
  for (const name of RUNTIME_DEPENDENCIES) {
    cpSync(join(ROOT, "node_modules", name), join(target, "node_modules", name), { recursive: true });
  }
  return target;
}
