/** authentication/spf.ts: SPF (RFC 7208) of the two identities of a session: what HELO says, and MAIL FROM. For the null sender they are one
 *  (§2.4). Who said no EHLO, or a literal, has no HELO identity. */
import type { SenderFacts, SpfCheck, SpfResult } from "../mail/message-authentication.ts";
import type { Library } from "./library.ts";
import type { Questions } from "./questions.ts";

const RESULTS: ReadonlySet<string> = new Set<SpfResult>([
  ...(["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"] as const),
]);

export interface SpfOptions {
  readonly spf: Library["spf"];
  /** For one identity each. */
  readonly open: () => Questions;
  /** Milliseconds for one identity (§4.6.4). */
  readonly timeoutMs: number;
  /** This host, for the %{r} macro and comments. */
  readonly hostname: string;
}

/** HELO first, as §2.3 recommends, though the result of neither hides that of the other. */
export async function checkSpf(from: SenderFacts, options: SpfOptions): Promise<readonly SpfCheck[]> {
  const identities: SpfCheck["identity"][] = [];
  if (isName(from.helo)) identities.push("helo");
  if (from.sender !== "") identities.push("mailfrom");
  return Promise.all(identities.map((identity) => checkIdentity(identity, from, options)));
}

function isName(helo: string | undefined): helo is string {
  return helo !== undefined && /^[a-z0-9_.-]*[a-z][a-z0-9_-]*\.?$/i.test(helo) && helo.includes(".");
}

async function checkIdentity(
  identity: SpfCheck["identity"],
  { clientAddress, helo = "", sender }: SenderFacts,
  { spf, open, timeoutMs, hostname }: SpfOptions,
): Promise<SpfCheck> {
  const questions = open();
  const found = await spf({
    ip: clientAddress,
    helo,
    sender: identity === "helo" ? "" : sender,
    mta: hostname,
    resolver: questions.resolve as never,
    maxElapsedTime: timeoutMs,
    strict: true,
  });
  questions.rethrow();
  const { result, comment } = found.status;
  return {
    identity,
    // What is no word of RFC 7208 can only be a failure to find out.
    result: RESULTS.has(result) ? (result as SpfResult) : "temperror",
    domain: typeof found.domain === "string" ? found.domain : "",
    comment: typeof comment === "string" ? comment : "",
    field: found.info ?? `spf=${result}`,
  };
}
