/** cli/postcat-envelope.ts: reads what Postfix's `postcat -e` prints of a queue file (run with TZ=UTC): the envelope of one
 *  message. What it does not understand it refuses: a message that is imported wrongly would be lost or sent astray. Pure. */
import { type Address, asAddress } from "../mail/address.ts";
import type { NotifyCondition } from "../mail/dsn.ts";
import type { Envelope, Origin, Recipient } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";

export interface PostcatMessage {
  readonly envelope: Omit<Envelope, "queueId">;
  /** Still to be delivered; none if all is done. */
  readonly recipients: readonly Recipient[];
}

const BEGIN = /^\*\*\* ENVELOPE RECORDS .* \*\*\*$/;
const END = /^\*\*\* MESSAGE FILE END .* \*\*\*$/;
const MARKER = /^\*\*\* (?:ENVELOPE RECORDS|MESSAGE CONTENTS|HEADER EXTRACTED|MESSAGE FILE END) .* \*\*\*$/;
const RECORD = /^([a-z_]+): ?(.*)$/;
/** Records that say nothing that would be needed here. */
const IGNORED: ReadonlySet<string> = new Set([
  ...["create_time", "queue_file_create_time", "sender_fullname", "killed_record", "warning_message_time", "priority"],
  ...["errors_to", "padding", "pointer_record", "flags", "content_inspector", "return_receipt"],
]);
const NOTIFY_BITS: readonly (readonly [number, NotifyCondition])[] = [
  [1, "NEVER"],
  [2, "SUCCESS"],
  [4, "FAILURE"],
  [8, "DELAY"],
];

/** A text: why the message cannot be imported. */
export function parsePostcat(output: string): PostcatMessage | string {
  const lines = output.split("\n").filter((line) => line !== "");
  if (!BEGIN.test(lines[0] ?? "")) return "postcat printed no envelope";
  if (!END.test(lines.at(-1) ?? "")) return "the file is incomplete";
  if (output.includes("\ufffd")) return "its envelope is not UTF-8";
  const reader = new EnvelopeReader();
  for (const line of lines) {
    if (MARKER.test(line)) continue;
    const [, name, value = ""] = RECORD.exec(line) ?? [];
    if (name === undefined) return `a record cannot be read: ${printableUtf8(line.slice(0, 100))}`;
    const bad = reader.take(name, value);
    if (bad !== undefined) return bad;
  }
  return reader.finish();
}

class EnvelopeReader {
  #sender: Address | undefined;
  #arrivalMs: number | undefined;
  #smtputf8 = false;
  #filter: string | undefined;
  #redirect: Address | undefined;
  readonly #attributes = new Map<string, string>();
  readonly #recipients: Recipient[] = [];
  /** What was said of the recipient to come. */
  #next: { original?: Address; orcpt?: string; notify?: readonly NotifyCondition[] } = {};

  /** A text: why this cannot be imported. */
  take(name: string, value: string): string | undefined {
    if (IGNORED.has(name)) return undefined;
    switch (name) {
      case "message_size":
        return this.#takeSize(value);
      case "message_arrival_time":
        this.#arrivalMs = Date.parse(`${value.trim()} UTC`);
        return Number.isNaN(this.#arrivalMs) ? `no time: ${printableUtf8(value)}` : undefined;
      case "sender":
        this.#sender = asAddress(value);
        return undefined;
      case "content_filter":
        this.#filter = value;
        return undefined;
      case "redirect_to":
        this.#redirect = asAddress(value);
        return undefined;
      case "named_attribute":
        return this.#takeAttribute(value);
      case "original_recipient":
        this.#next.original = asAddress(value);
        return undefined;
      case "recipient":
        this.#takeRecipient(asAddress(value));
        return undefined;
      case "done_recipient":
      case "canceled_recipient":
        this.#next = {};
        return undefined;
      case "dsn_original_recipient":
        this.#next.orcpt = value;
        return undefined;
      case "dsn_notify_flags":
        return this.#takeNotify(value);
      case "dsn_envelope_id":
        this.#attributes.set("envelope_id", value);
        return undefined;
      case "dsn_return_flags":
        this.#attributes.set("ret_flags", value);
        return undefined;
      default:
        return `record "${name}" is not known`;
    }
  }

  finish(): PostcatMessage | string {
    const [sender, arrivalMs] = [this.#sender, this.#arrivalMs];
    if (sender === undefined || arrivalMs === undefined) return "sender or time is missing";
    const [first] = this.#recipients;
    const redirected = first && this.#redirect !== undefined ? [{ ...first, address: this.#redirect }] : undefined;
    const [ret, envid] = [this.#attributes.get("ret_flags"), this.#attributes.get("envelope_id")];
    const dsn = { ret: ret === "2" ? "HDRS" : ret === "1" ? "FULL" : undefined, envid } as const;
    return {
      envelope: {
        ...{ sender, arrivalMs, smtputf8: this.#smtputf8, origin: this.#origin(), filter: this.#filter },
        body: this.#attributes.get("encoding") === "7bit" ? "7BIT" : "8BITMIME",
        ...(dsn.ret === undefined && envid === undefined ? {} : { dsn }),
      },
      recipients: redirected ?? this.#recipients,
    };
  }

  /** Size, offset of the content, recipients, flags, length of the content in the file, SMTPUTF8 flags. */
  #takeSize(value: string): string | undefined {
    const numbers = value.trim().split(/\s+/).map(Number);
    this.#smtputf8 = ((numbers[5] ?? 0) & 1) === 1;
    return numbers.length === 6 && numbers.every(Number.isSafeInteger) ? undefined : "size record of another version";
  }

  #takeAttribute(value: string): string | undefined {
    const equals = value.indexOf("=");
    if (equals <= 0) return "an attribute cannot be read";
    const [name, text] = [value.slice(0, equals), value.slice(equals + 1)];
    if (name === "dsn_orig_rcpt") this.#next.orcpt = text;
    else if (name === "notify_flags") return this.#takeNotify(text);
    else this.#attributes.set(name, text);
    return undefined;
  }

  #takeNotify(text: string): string | undefined {
    const bits = Number(text);
    if (!Number.isInteger(bits) || bits < 0 || bits > 15) return `notify flags ${printableUtf8(text)}`;
    const notify = NOTIFY_BITS.filter(([bit]) => (bits & bit) !== 0).map(([, condition]) => condition);
    if (notify.length > 0) this.#next.notify = notify;
    return undefined;
  }

  #takeRecipient(address: Address): void {
    const { original, orcpt, notify } = this.#next;
    this.#next = {};
    // Postfix makes an ORCPT of its own for every recipient; one that says no more than the address is left out.
    const wanted = orcpt === undefined || orcpt === `rfc822;${original ?? address}` ? undefined : orcpt;
    const dsn = wanted === undefined && notify === undefined ? undefined : { orcpt: wanted, notify };
    this.#recipients.push({ address, original: original === undefined || original === "" ? address : original, dsn });
  }

  #origin(): Origin {
    const attribute = (name: string) => this.#attributes.get(name);
    return {
      clientName: attribute("client_name") ?? "localhost",
      clientAddress: attribute("client_address") ?? "127.0.0.1",
      helo: attribute("helo_name"),
      protocol: attribute("protocol_name") ?? "ESMTP",
      saslMethod: attribute("sasl_method"),
      saslUsername: attribute("sasl_username"),
      saslSender: attribute("sasl_sender"),
      service: "import",
    };
  }
}
