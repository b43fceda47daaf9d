/** admin/policy-fetch.ts: gets the MTA-STS policy of a domain as other servers get it (RFC 8461 §3.3), and says what they would
 *  not like. */
import type { Clock } from "../base/clock.ts";
import { fetchHttps, HttpsError } from "../net/https-fetch.ts";
import type { FetchPolicy } from "./check-tls-policy.ts";

export interface PolicyFetchParts {
  readonly clock: Pick<Clock, "after">;
  /** 443 but in tests. */
  readonly port: number;
  /** PEM of the CAs that are trusted. */
  readonly authorities: () => readonly string[];
}

const TIMEOUT_MS = 15_000;
/** RFC 8461 §3.3 suggests the same. */
const LIMIT_BYTES = 64 * 1024;

export function policyFetch({ clock, port, authorities }: PolicyFetchParts): FetchPolicy {
  return async (host, [address = ""]) => {
    try {
      const { status, mediaType, body } = await fetchHttps({
        ...{ host, address, port, clock, authorities: authorities() },
        path: "/.well-known/mta-sts.txt",
        timeoutMs: TIMEOUT_MS,
        limitBytes: LIMIT_BYTES,
      });
      if (status !== 200) return { problem: `the web server answers ${status}` };
      if (mediaType !== "text/plain") return { problem: `the media type is "${mediaType}", not text/plain` };
      return { text: body.toString("latin1") };
    } catch (error) {
      if (!(error instanceof HttpsError)) throw error;
      return {
        problem: error.kind === "certificate" ? `its certificate is not accepted: ${error.message}` : error.message,
      };
    }
  };
}
