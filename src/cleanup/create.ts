/** cleanup/create.ts: makes the cleanup service of one smtpd service. */
import type { Cleanup } from "./cleanup.ts";
import type { CleanupDeps } from "./deps.ts";
import { Incoming } from "./incoming.ts";

export function createCleanup(deps: CleanupDeps): Cleanup {
  return { begin: (options) => new Incoming(deps, options) };
}
