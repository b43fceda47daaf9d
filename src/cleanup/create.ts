/** cleanup/create.ts: makes the cleanup service of one smtpd service. */
import type { Cleanup } from "./cleanup.ts";
import { mimeLimits } from "./content-checks.ts";
import { ConvertedMessage } from "./converted-message.ts";
import type { CleanupDeps } from "./deps.ts";
import { Incoming } from "./incoming.ts";

export function createCleanup(deps: CleanupDeps): Cleanup {
  const { params } = deps;
  if (!params.get("force_mime_input_conversion")) return { begin: (options) => new Incoming(deps, options) };
  const headerLimit = params.get("postern_header_block_limit");
  const limits = { ...mimeLimits(params), fieldLimit: headerLimit };
  return { begin: (options) => new ConvertedMessage(new Incoming(deps, options), limits, headerLimit) };
}
