/** smtp/wishes.ts: what the sender asked of every server on the way: a time (RFC 2852 §4.1.4) and a priority (RFC 6710 §4.2),
 *  passed on to a server that knows of it, and what follows where it does not. Pure. */
import type { MessageContent } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { ownVerdict, unfitVerdict, type Verdict } from "./outcome.ts";
import type { Protocol } from "./settings.ts";

export interface Wishes {
  /** Why this server must not get the message; another may. */
  readonly unfit: Verdict | undefined;
  /** ` BY=… MT-PRIORITY=…` of MAIL. */
  readonly parameters: string;
  /** The sender is told that the message was relayed: it goes where nobody heeds the time, or he wants each step reported. */
  readonly reportRelay: boolean;
  /** The time is passed on, and with it the wish to hear of a delay. */
  readonly notifyDelay: boolean;
}

const NONE: Wishes = { unfit: undefined, parameters: "", reportRelay: false, notifyDelay: false };
/** Nine digits. */
const MOST_SECONDS = 999_999_999;

export interface WishedAt {
  readonly features: ReadonlyMap<string, string>;
  /** As in "host … said". */
  readonly host: string;
  readonly protocol: Protocol;
  readonly nowMs: number;
}

/** What is asked of this server now. */
export function wishesFor({ deliverBy, priority }: Pick<Envelope, "deliverBy" | "priority">, at: WishedAt): Wishes {
  if (deliverBy === undefined && priority === undefined) return NONE;
  const known = priority !== undefined && at.features.has("MT-PRIORITY");
  const urgency = known ? ` MT-PRIORITY=${priority}` : "";
  if (deliverBy === undefined) return { ...NONE, parameters: urgency };
  const seconds = Math.floor((deliverBy.untilMs - at.nowMs) / 1000);
  const { mode, trace } = deliverBy;
  const unfit = mode === "R" ? tooLateFor(seconds, at) : undefined;
  // A server of LMTP delivers for good: nobody behind it needs to know the time.
  if (at.protocol === "lmtp") return { ...NONE, unfit, parameters: urgency };
  const supported = at.features.has("DELIVERBY");
  const left = Math.max(-MOST_SECONDS, Math.min(seconds, MOST_SECONDS));
  const by = supported ? ` BY=${left};${mode}${trace ? "T" : ""}` : "";
  return {
    unfit,
    parameters: `${by}${urgency}`,
    reportRelay: trace || !supported,
    notifyDelay: supported && mode === "N",
  };
}

/** Of mode R: it must not go where it might be delivered after its time. */
function tooLateFor(seconds: number, { features, host, protocol }: WishedAt): Verdict | undefined {
  if (seconds <= 0) return ownVerdict("5.4.7", "delivery time expired");
  if (protocol === "lmtp") return undefined;
  const minimum = features.get("DELIVERBY");
  if (minimum === undefined) return unfitVerdict("5.4.7", `DELIVERBY is required, but was not offered by host ${host}`);
  if (!(Number(minimum) > seconds)) return undefined;
  return unfitVerdict("5.4.7", `host ${host} takes at least ${minimum} seconds, and only ${seconds} are left`);
}

/** The content with its priority in front (RFC 6758 §3), if it has one. */
export function withPriority(content: MessageContent, { priority }: Pick<Envelope, "priority">): MessageContent {
  if (priority === undefined) return content;
  const field = Buffer.from(`MT-Priority: ${priority}\r\n`);
  return {
    sizeBytes: field.length + content.sizeBytes,
    async *chunks() {
      yield field;
      yield* content.chunks();
    },
  };
}
