/** smtp/outcome.ts: results of the client in Postfix's words (postfix.md §6.3), from replies and broken connections. */

import type { RcptOutcome } from "../mail/delivery.ts";
import { printableAscii } from "../mail/printable.ts";
import type { ConnectionError } from "../net/client-connection.ts";
import { type PeerReply, replyClass } from "./reply.ts";

/** What became of one recipient in one session, or of the session as a whole. */
export interface Verdict {
  readonly kind: "sent" | "deferred" | "bounced";
  readonly dsn: string;
  readonly text: string;
  /** "smtp; 550 …" when the peer said it. */
  readonly diagnostic?: string | undefined;
  /** Of "sent": who reports it. */
  readonly dsnAction?: RcptOutcome["dsnAction"];
  readonly reportRelay?: RcptOutcome["reportRelay"];
  /** Of "deferred": this host can never have the message as it is. If that is so of all, it is returned; `dsn` says so already. */
  readonly unfit?: true | undefined;
}

/** A decision of our own; the class of `dsn` says if it is final. */
export function ownVerdict(dsn: string, text: string): Verdict {
  return { kind: dsn.startsWith("5") ? "bounced" : "deferred", dsn, text };
}

/** Another host may take it; none that time would mend. `dsn` for the case that no host does. */
export function unfitVerdict(dsn: string, text: string): Verdict {
  return { kind: "deferred", dsn, text, unfit: true };
}

/** The peer's acceptance of the message. */
export function sentVerdict(reply: PeerReply, dsnAction: Verdict["dsnAction"]): Verdict {
  return { kind: "sent", dsn: reply.dsn ?? "2.0.0", text: reply.text, diagnostic: `smtp; ${reply.text}`, dsnAction };
}

/** `host H[A] said: 550 … (in reply to RCPT TO command)`. An answer that is no refusal is out of step: deferred. */
export function refusedVerdict(host: string, reply: PeerReply, command: string): Verdict {
  return fromReply(reply, `host ${host} said: ${reply.text} (in reply to ${command})`);
}

/** As refusedVerdict(), with a text of its own. */
export function fromReply(reply: PeerReply, text: string): Verdict {
  const kind = replyClass(reply) === 5 ? "bounced" : "deferred";
  const dsn = reply.code >= 400 ? (reply.dsn ?? `${replyClass(reply)}.0.0`) : "4.5.0";
  return { kind, dsn, text, diagnostic: `smtp; ${reply.text}` };
}

/** The same refusal, but not final. */
export function softened(verdict: Verdict): Verdict {
  return { ...verdict, kind: "deferred", dsn: `4${verdict.dsn.slice(1)}` };
}

/** `lost connection with H[A] while …`, `conversation with H[A] timed out while …`. */
export function brokenVerdict(host: string, error: ConnectionError, phase: string): Verdict {
  switch (error.kind) {
    case "timeout":
      return ownVerdict("4.4.2", `conversation with ${host} timed out while ${phase}`);
    case "protocol":
      return ownVerdict("4.5.0", `protocol error with ${host} while ${phase}: ${printableAscii(error.message)}`);
    case "local":
      return ownVerdict("4.3.0", `local data error while talking to ${host}`);
    default:
      return ownVerdict("4.4.2", `lost connection with ${host} while ${phase}`);
  }
}
