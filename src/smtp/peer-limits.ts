/** smtp/peer-limits.ts: LIMITS of a server (RFC 9422): how many recipients a transaction may have, how many transactions and
 *  recipient domains a session. The newest EHLO counts (§3.6); what is malformed or unknown limits nothing (§3.7). */
import { domainOf } from "../mail/address.ts";
import type { DeliveryRecipient } from "../mail/delivery.ts";

/** Infinity: no limit. */
export interface PeerLimits {
  readonly recipients: number;
  readonly mails: number;
  readonly domains: number;
}

const NONE: PeerLimits = {
  recipients: Number.POSITIVE_INFINITY,
  mails: Number.POSITIVE_INFINITY,
  domains: Number.POSITIVE_INFINITY,
};

const NAMES: ReadonlyMap<string, keyof PeerLimits> = new Map([
  ["RCPTMAX", "recipients"],
  ["MAILMAX", "mails"],
  ["RCPTDOMAINMAX", "domains"],
]);

/** `text`: what stands behind the keyword; undefined: the server has no LIMITS. */
export function parseLimits(text: string | undefined): PeerLimits {
  if (text === undefined) return NONE;
  const found = { ...NONE };
  for (const word of text.split(/[ \t]+/)) {
    const [, name = "", value = ""] = /^([A-Za-z0-9-]+)=([1-9]\d{0,5})$/.exec(word) ?? [];
    const limit = NAMES.get(name.toUpperCase());
    if (limit !== undefined) found[limit] = Math.min(found[limit], Number(value));
  }
  return found;
}

/** What a session has had, for its limits. */
export interface SessionUse {
  readonly features: ReadonlyMap<string, string>;
  /** Transactions. */
  readonly uses: number;
  /** Of recipients, in lower case. */
  readonly domains: Set<string>;
}

/** Whether the server takes no further transaction, or none of another domain, over this session. */
export function isUsedUp({ features, uses, domains }: SessionUse): boolean {
  const limits = parseLimits(features.get("LIMITS"));
  return uses >= limits.mails || domains.size >= limits.domains;
}

/** Those who may be asked for in the next transaction, in order; none: the session is used up. Their domains count from now on. */
export function takeBatch(session: SessionUse, waiting: readonly DeliveryRecipient[]): readonly DeliveryRecipient[] {
  const text = session.features.get("LIMITS");
  if (text === undefined) return waiting;
  const limits = parseLimits(text);
  if (session.uses >= limits.mails) return [];
  const batch: DeliveryRecipient[] = [];
  for (const recipient of waiting) {
    if (batch.length >= limits.recipients) break;
    const domain = (domainOf(recipient.address) ?? "").toLowerCase();
    if (session.domains.size >= limits.domains && !session.domains.has(domain)) continue;
    if (limits.domains < Number.POSITIVE_INFINITY) session.domains.add(domain);
    batch.push(recipient);
  }
  return batch;
}
