/** cleanup/create.ts: makes the cleanup service of one smtpd service. */
import type { Cleanup } from "./cleanup.ts";
import { ConvertedMessage } from "./converted-message.ts";
import type { CleanupDeps } from "./deps.ts";
import { Incoming } from "./incoming.ts";
import { bodyLimits } from "./reencode.ts";

export function createCleanup(deps: CleanupDeps): Cleanup {
  const { params } = deps;
  if (!params.get("force_mime_input_conversion")) return { begin: (options) => new Incoming(deps, options) };
  const headerLimit = params.get("postern_header_block_limit");
  const limits = bodyLimits(params);
  return {
    begin(options) {
      const binary = options.envelope.body === "BINARYMIME" ? "base64" : "quoted-printable";
      return new ConvertedMessage(new Incoming(deps, options), { limits, accepts: "7bit", binary }, headerLimit);
    },
  };
}
