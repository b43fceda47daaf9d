/** test/testbed/checkout.ts: a checkout that an unprivileged worker can read. Run as root from a private directory, the
 *  tests would otherwise fail for a reason that has nothing to do with Postern. */
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = dirname(dirname(import.meta.dirname));

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
  process.once("exit", () => rmSync(target, { recursive: true, force: true }));
  chmodSync(target, 0o755);
  for (const name of ["bin", "src", "package.json"]) cpSync(join(ROOT, name), join(target, name), { recursive: true });
  for (const path of runtimePackages()) cpSync(join(ROOT, path), join(target, path), { recursive: true });
  return target;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dependencies?: Readonly<Record<string, string>> }>>;
}

/** Folders of all packages that a server may load, but for the optional ones. */
function runtimePackages(): ReadonlySet<string> {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as Lock;
  const found = new Set<string>();
  const waiting = [""];
  for (let from = waiting.pop(); from !== undefined; from = waiting.pop()) {
    for (const name of Object.keys(packages[from]?.dependencies ?? {})) {
      const own = `${from}/node_modules/${name}`;
      const path = own in packages ? own : `node_modules/${name}`;
      if (found.has(path)) continue;
      found.add(path);
      waiting.push(path);
    }
  }
  return found;
}
