/** milter/answer.ts: what a Milter's reply means for the client. */
import { type Reply, reply } from "../mail/reply.ts";
import { decodeTexts, type Packet, REPLY } from "./protocol.ts";
import type { DefaultAction } from "./settings.ts";

export type Answer =
  | { readonly kind: "continue" }
  /** The filter need not see more: of the message, or at connect and HELO of the session. */
  | { readonly kind: "accept" }
  /** `shutdown`: the same to all that follows, at whatever step it was said. */
  | { readonly kind: "refuse"; readonly reply: Reply; readonly shutdown?: boolean }
  | { readonly kind: "discard" }
  | { readonly kind: "hold"; readonly reason: string }
  /** No more of the body is wanted. */
  | { readonly kind: "skip" };

export const CONTINUE: Answer = { kind: "continue" };

const REJECT: Answer = { kind: "refuse", reply: reply(550, "5.7.1", "Command rejected") };
const TEMPFAIL: Answer = { kind: "refuse", reply: reply(451, "4.7.1", "Service unavailable - try again later") };
const SHUTDOWN: Answer = {
  kind: "refuse",
  reply: reply(421, "4.7.0", "Server closing connection"),
  shutdown: true,
};

/** undefined: no reply of the protocol. */
export function answerOf({ kind, data }: Packet): Answer | undefined {
  switch (kind) {
    case REPLY.continue:
      return CONTINUE;
    case REPLY.accept:
      return { kind: "accept" };
    case REPLY.skip:
      return { kind: "skip" };
    case REPLY.discard:
      return { kind: "discard" };
    case REPLY.reject:
      return REJECT;
    case REPLY.tempfail:
      return TEMPFAIL;
    case REPLY.shutdown:
      return SHUTDOWN;
    case REPLY.replyCode: {
      const [text = ""] = decodeTexts(data);
      return ownReply(text);
    }
    default:
      return undefined;
  }
}

/** `550 5.7.1 text`, perhaps several lines with the same code. undefined: no reply with which a client can be refused. As a format
 *  of sendmail(8) it has each percent sign twice; as in Postfix one alone is dropped. */
function ownReply(format: string): Answer | undefined {
  const text = format.replace(/%(.?)/gs, "$1");
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  const parsed = lines.map((line) => /^([45]\d\d)[ -](?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?(.*)$/.exec(line));
  const [first] = parsed;
  if (!first || parsed.some((m) => !m || m[1] !== first[1])) return undefined;
  const printable = parsed.map((m) => (m?.[3] ?? "").replace(/[^\x20-\x7e]/g, "?").slice(0, 480));
  return { kind: "refuse", reply: { code: Number(first[1]), dsn: first[2], lines: printable } };
}

/** For a Milter that cannot be asked (milter_default_action). */
export function defaultAnswer(action: DefaultAction): Answer {
  switch (action) {
    case "accept":
      return { kind: "accept" };
    case "reject":
      return { kind: "refuse", reply: reply(550, "5.5.0", "Service unavailable") };
    case "quarantine":
      return { kind: "hold", reason: "default_action" };
    case "shutdown":
      return SHUTDOWN;
    default:
      return TEMPFAIL;
  }
}
