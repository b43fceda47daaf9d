/** smtp/hello.ts: EHLO, HELO, LHLO (RFC 5321 §3.2, RFC 2033 §4.1): what the server offers, less what we are told not to see. */
import type { Log } from "../log/log.ts";
import type { TableOpener } from "../tables/table.ts";
import { firstValue } from "./first-value.ts";
import { fromReply, ownVerdict, softened, type Verdict } from "./outcome.ts";
import { type PeerReply, replyClass } from "./reply.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./settings.ts";

export interface HelloParts {
  readonly settings: Settings;
  readonly tables: TableOpener;
  readonly log: Log;
}

/** A server that takes no mail from us, now or for good. `soften`: never for good. */
export function unfriendly(session: Session, reply: PeerReply, soften: boolean): Verdict {
  const verdict = fromReply(reply, `host ${session.host} refused to talk to me: ${reply.text}`);
  return soften && verdict.kind === "bounced" ? softened(verdict) : verdict;
}

/** smtp_always_send_ehlo, smtp_never_send_ehlo. */
export function speaksEsmtp(greeting: PeerReply, { hello }: Settings): boolean {
  if (hello.never) return false;
  return (
    hello.always ||
    greeting.lines.some((line) =>
      line
        .toUpperCase()
        .split(/[ \t]+/)
        .includes("ESMTP"),
    )
  );
}

/** EHLO, and HELO for servers that do not want it; LHLO has no such fallback. undefined: go on. Rejects ConnectionError,
 *  TableError. */
export async function sayHello(
  session: Session,
  options: HelloParts,
  { extended: wanted }: { readonly extended: boolean },
): Promise<Verdict | undefined> {
  const { settings, log } = options;
  const smtp = settings.protocol === "smtp";
  const timeoutMs = settings.timeouts.heloMs;
  const hello = (verb: string) =>
    session.command(`${verb} ${settings.heloName}`, `performing the ${verb} handshake`, timeoutMs);
  let reply = wanted ? await hello(smtp ? "EHLO" : "LHLO") : undefined;
  const extended = reply !== undefined && replyClass(reply) === 2;
  if (!reply || (!extended && smtp && reply.code !== 421)) reply = await hello("HELO");
  if (replyClass(reply) !== 2) return unfriendly(session, reply, false);
  session.features = extended ? featuresOf(reply, await discardedKeywords(session, options)) : new Map();
  const name = reply.lines[0]?.split(" ")[0]?.toLowerCase();
  if (session.target.port !== 25 || !smtp || name !== settings.myhostname.toLowerCase()) return undefined;
  log.warning(`host ${session.relay} replied to HELO/EHLO with my own hostname ${settings.myhostname}`);
  return ownVerdict("5.4.6", `mail for ${session.target.nexthop} loops back to myself`);
}

/** By address of the server, if the tables have it; else those for all. Rejects TableError. */
async function discardedKeywords({ target }: Session, { settings, tables }: HelloParts): Promise<ReadonlySet<string>> {
  const value = await firstValue(tables, settings.discardMaps, [target.address]);
  return value === undefined ? settings.discardKeywords : new Set(value.toUpperCase().split(/[\s,]+/));
}

/** Keywords in upper case; `AUTH=PLAIN` of old servers counts as `AUTH PLAIN`. */
function featuresOf(reply: PeerReply, discard: ReadonlySet<string>): ReadonlyMap<string, string> {
  const features = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    const m = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:[ =]+(.*))?$/.exec(line);
    const keyword = m?.[1]?.toUpperCase();
    if (keyword === undefined || discard.has(keyword)) continue;
    const before = features.get(keyword);
    features.set(keyword, before === undefined ? (m?.[2] ?? "") : `${before} ${m?.[2] ?? ""}`);
  }
  return features;
}
