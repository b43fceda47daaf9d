/** admin/dns-finding.ts: what `postern dns check` says of one record, and the site that it checks for. */
import type { X509Certificate } from "node:crypto";
import type { MailAccount } from "./account.ts";
import type { DkimKeyFile } from "./dkim-keys.ts";
import type { DnsView } from "./dns-view.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** "optional": not there, and mail works without it. "unknown": it could not be found out. */
export type FindingState = "ok" | "wrong" | "missing" | "optional" | "unknown";

/** Texts may hold what DNS said: not yet printable. */
export interface DnsFinding {
  readonly topic: string;
  /** Where the record stands, or should. */
  readonly name: string;
  readonly state: FindingState;
  /** What is there. */
  readonly found: readonly string[];
  /** What is wrong with it, and why it matters; a remark where it is ok; "" where there is nothing to say. */
  readonly why: string;
  /** Lines of a zone file that make it right. */
  readonly publish: readonly string[];
}

export interface DnsSite {
  /** Of accountDomain(). */
  readonly domain: string;
  /** myhostname, lower case without final dot. */
  readonly host: string;
  /** Mail for the domain is taken here. */
  readonly receives: boolean;
  /** Hosts that take mail for this server (a filter in front of it), A-labels, lower case. */
  readonly exchangers: readonly string[];
  /** Public addresses that mail leaves from, as far as the operator or the configuration names them; else those of `host`. */
  readonly addresses: readonly string[];
  /** Mail leaves through it, so its addresses count and not ours; "": it does not. */
  readonly relayhost: string;
  readonly keys: readonly DkimKeyFile[];
  /** Why the keys are not known. */
  readonly keysProblem: string | undefined;
  /** A milter is there, which may sign. */
  readonly milters: boolean;
  /** undefined: nothing is submitted here. */
  readonly account: MailAccount | undefined;
  /** What the services for other servers' mail show, each with its chain; undefined: not readable. */
  readonly certificates: readonly (readonly X509Certificate[])[] | undefined;
  /** Whether mail to these addresses would arrive. */
  readonly mailboxes: (addresses: readonly string[]) => Promise<ReadonlyMap<string, MailboxState>>;
  /** The name servers are believed when they say that an answer is signed. */
  readonly validates: boolean;
}

/** What a check gets. */
export interface DnsCheckContext {
  readonly site: DnsSite;
  readonly view: DnsView;
  /** Those of the site, or of its host as DNS has them. */
  readonly addresses: readonly string[];
}

interface Rest {
  readonly found?: readonly string[];
  readonly why?: string;
  readonly publish?: readonly string[];
}

export function finding(state: FindingState, topic: string, name: string, rest: Rest = {}): DnsFinding {
  const { found = [], why = "", publish = [] } = rest;
  return { state, topic, name, found, why, publish };
}

export function unanswered(topic: string, name: string): DnsFinding {
  return finding("unknown", topic, name, { why: "no name server answers this question now" });
}
