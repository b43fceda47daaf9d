/** smtpd/session-quotas.ts: how much one session may bring, as EHLO announces it (LIMITS, RFC 9422): recipients of a message, MAIL
 *  commands, domains of recipients. Who logs in may get other numbers, which the next EHLO tells (§3.6). What is announced
 *  is enforced. */
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf } from "../mail/address.ts";
import { type Reply, reply } from "../mail/reply.ts";

export interface SessionQuotas {
  readonly recipients: number;
  /** Of a client that has logged in. */
  readonly loginRecipients: number;
  /** 0: no limit. */
  readonly mails: number;
  /** 0: no limit. */
  readonly domains: number;
}

/** What is known of a session for this. */
interface Counted {
  readonly settings: { readonly quotas: SessionQuotas; readonly hostname: string };
  readonly user: object | undefined;
  /** MAIL commands so far. */
  mails: number;
  /** Of accepted recipients, in lower case. */
  readonly recipientDomains: Set<string>;
}

/** RFC 9422 §3: values have at most six digits. */
const MAX_ANNOUNCED = 999_999;

export function readQuotas(params: Parameters): SessionQuotas {
  return {
    recipients: params.get("smtpd_recipient_limit"),
    loginRecipients: params.get("postern_login_recipient_limit"),
    mails: params.get("postern_session_mail_limit"),
    domains: params.get("postern_session_domain_limit"),
  };
}

/** The EHLO line, or none. */
export function limitsLines(session: Counted): readonly string[] {
  const { mails, domains } = session.settings.quotas;
  const limits = [
    ["MAILMAX", mails],
    ["RCPTMAX", recipientLimit(session)],
    ["RCPTDOMAINMAX", domains],
  ] as const;
  const words = limits
    .filter(([, value]) => value > 0 && value <= MAX_ANNOUNCED)
    .map(([name, value]) => `${name}=${value}`);
  return words.length === 0 ? [] : [`LIMITS ${words.join(" ")}`];
}

/** Recipients of one message. */
export function recipientLimit({ settings: { quotas }, user }: Counted): number {
  return user === undefined ? quotas.recipients : quotas.loginRecipients;
}

/** Counts a MAIL command, whatever becomes of it. The reply ends the session: a new one may go on. */
export function countMail(session: Counted): Reply | undefined {
  const { hostname, quotas } = session.settings;
  session.mails++;
  if (quotas.mails === 0 || session.mails <= quotas.mails) return undefined;
  return reply(421, "4.7.0", `${hostname} Error: too many messages in one session`);
}

/** Whether a recipient's domain is one more than the session may have. */
export function isDomainTooMany({ settings, recipientDomains }: Counted, address: Address): boolean {
  const { domains } = settings.quotas;
  return domains > 0 && recipientDomains.size >= domains && !recipientDomains.has(domainKey(address));
}

/** An accepted recipient. */
export function countDomain({ settings, recipientDomains }: Counted, address: Address): void {
  if (settings.quotas.domains > 0) recipientDomains.add(domainKey(address));
}

function domainKey(address: Address): string {
  return (domainOf(address) ?? "").toLowerCase();
}
