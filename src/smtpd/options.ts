/** smtpd/options.ts: what the composition root gives to an SMTP service, and what it gets. */

import type { AccessPolicy } from "../access/access.ts";
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { Cleanup } from "../cleanup/cleanup.ts";
import type { Parameters } from "../config/parameters.ts";
import type { DecisionKeeper } from "../decisions/decision.ts";
import type { Dns } from "../dns/resolver.ts";
import type { DuplicateGuard } from "../duplicates/claim.ts";
import type { Log } from "../log/log.ts";
import type { MessageAuthenticator } from "../mail/message-authentication.ts";
import type { ProbeSender } from "../mail/probe-sender.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { Milters } from "../milter/milters.ts";
import type { Socket } from "../net/connection.ts";
import type { ServerTls } from "../net/tls-context.ts";
import type { BeforeQueueFilter } from "../proxy/filter.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { MechanismProperties, SaslBackend } from "../sasl/backend.ts";
import type { ClientCounting } from "./client-limits.ts";
import type { ClientMatcher } from "./client-matcher.ts";
import type { CommandFilter } from "./command-filter.ts";
import type { DiscardedByAddress } from "./discarded-keywords.ts";
import type { Explainer } from "./explanation.ts";
import type { HeaderClients } from "./header-clients.ts";
import type { HeldMail } from "./held-mail.ts";
import type { PriorityLimit } from "./priority-limit.ts";
import type { RejectFooter } from "./reject-footer.ts";
import type { SessionNotices } from "./transcript.ts";

export interface SmtpdOptions {
  /** The scope of the service: main.cf under its `-o`. */
  readonly params: Parameters;
  /** Service name of master.cf. */
  readonly serviceName: string;
  readonly role: "submission" | "mx";
  /** local_header_rewrite_clients: these are "submission" for the header, others "mx"; undefined: the role decides. */
  readonly headerClients?: HeaderClients | undefined;
  readonly access: AccessPolicy;
  /** undefined: AUTH is not enabled. */
  readonly sasl: SaslBackend | undefined;
  /** Mechanisms a session may see and use. */
  announce(backend: SaslBackend, session: { readonly tls: boolean }): readonly MechanismProperties[];
  readonly cleanup: Cleanup;
  /** smtpd_proxy_filter: gets messages in the place of cleanup; undefined: none. */
  readonly filter?: BeforeQueueFilter | undefined;
  /** smtpd_milters; undefined: none. */
  readonly milters?: Milters | undefined;
  /** Verifies mail from elsewhere; undefined: nobody does. */
  readonly authenticator?: MessageAuthenticator | undefined;
  /** postern_authentication_trusted_clients; asked only where there is an authenticator. */
  readonly authenticationTrusted?: ClientMatcher | undefined;
  /** postern_duplicate_guard; undefined: there is none. */
  readonly duplicates?: DuplicateGuard | undefined;
  nextQueueId(): QueueId;
  readonly resolver: AddressResolver;
  /** Who sends our address probes: mail to it is taken from everybody. undefined: nobody. */
  readonly probeSender?: ProbeSender | undefined;
  /** undefined: no names are looked up. */
  readonly dns: Dns | undefined;
  /** Read at each handshake, so it may be a getter whose value changes when a certificate is renewed. */
  readonly tls: ServerTls | undefined;
  /** Free bytes where the queue lies. */
  freeBytes(): number;
  /** The log of one session. */
  log(sessionId: number): Log;
  nextSessionId(): number;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** smtpd_forbid_bare_newline_exclusions, by default mynetworks. */
  readonly bareNewlineExclusions: ClientMatcher;
  /** smtpd_authorized_xclient_hosts; undefined: nobody. */
  readonly xclientHosts?: ClientMatcher | undefined;
  /** smtpd_authorized_xforward_hosts; undefined: nobody. */
  readonly xforwardHosts?: ClientMatcher | undefined;
  /** Starts delivery of all mail that waits for a domain, given in lower case (ETRN). "denied": not among
   *  fast_flush_domains; "failed": nobody could be told. Never rejects. undefined: there is no ETRN. */
  readonly flushSite?: ((domain: string) => Promise<"started" | "denied" | "failed">) | undefined;
  /** debug_peer_list. */
  readonly debugPeers: ClientMatcher;
  /** smtpd_discard_ehlo_keyword_address_maps; undefined: none. */
  readonly discardedByAddress?: DiscardedByAddress | undefined;
  /** smtpd_command_filter; undefined: none. */
  readonly commandFilter?: CommandFilter | undefined;
  /** smtpd_reject_footer; undefined: none. */
  readonly rejectFooter?: RejectFooter | undefined;
  /** smtpd_sasl_exceptions_networks: AUTH is not announced to these, but accepted. */
  readonly saslExceptions?: ClientMatcher | undefined;
  /** postern_submission_extension_clients; undefined: nobody without a login. */
  readonly extensionClients?: ClientMatcher | undefined;
  /** postern_priority_login_maps; undefined: nobody may use a priority above 0. */
  readonly priorityLimit?: PriorityLimit | undefined;
  /** Who counts what is held for later; undefined: there is no quota. */
  readonly heldMail?: HeldMail | undefined;
  /** Who counts clients for smtpd_client_*_limit; undefined: nobody is limited. */
  readonly counting?: ClientCounting | undefined;
  /** Who keeps what restrictions decided, and why; undefined: nobody. */
  readonly explainer?: Explainer | undefined;
  /** Who tells the postmaster of sessions in which something went wrong (notify_classes); undefined: nobody. */
  readonly notices?: SessionNotices | undefined;
  /** Who keeps what was decided about each recipient; undefined: nobody. */
  readonly decisions?: DecisionKeeper | undefined;
}

/** A running SMTP service of one config generation. */
export interface Smtpd {
  /** Takes over an accepted socket. Never throws. */
  accept(socket: Socket): void;
  /** Open sessions. */
  readonly sessions: number;
  /** Takes no more sessions; those between two messages get 421 now, those within one after `graceMs`. Resolves when
   *  all are gone. */
  drain(graceMs?: number): Promise<void>;
  /** Resolves when there is no session left, without hurrying any. */
  idle(): Promise<void>;
}
