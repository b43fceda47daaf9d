/** milter/protocol.ts: the numbers and letters of the Milter protocol, versions 2 to 6 (libmilter's mfdef.h), and its packets:
 *  four octets of length, a letter, data. Text ends in NUL. */

/** What we send. */
export const COMMAND = {
  options: "O",
  macro: "D",
  connect: "C",
  helo: "H",
  mail: "M",
  rcpt: "R",
  data: "T",
  header: "L",
  endOfHeader: "N",
  body: "B",
  endOfBody: "E",
  abort: "A",
  quit: "Q",
  unknown: "U",
} as const;

/** What a filter answers. */
export const REPLY = {
  continue: "c",
  accept: "a",
  reject: "r",
  tempfail: "t",
  discard: "d",
  replyCode: "y",
  shutdown: "4",
  skip: "s",
  progress: "p",
  addRecipient: "+",
  addRecipientWithParameters: "2",
  deleteRecipient: "-",
  changeSender: "e",
  replaceBody: "b",
  addHeader: "h",
  insertHeader: "i",
  changeHeader: "m",
  quarantine: "q",
} as const;

/** Steps that a filter may do without, and what else we can do. */
export const STEP = {
  noConnect: 0x01,
  noHelo: 0x02,
  noMail: 0x04,
  noRcpt: 0x08,
  noBody: 0x10,
  noHeaders: 0x20,
  noEndOfHeader: 0x40,
  noReplyToHeaders: 0x80,
  noUnknown: 0x100,
  noData: 0x200,
  maySkip: 0x400,
  /** It wants to hear of recipients that are refused already. */
  rejectedRecipients: 0x800,
  noReplyToConnect: 0x1000,
  noReplyToHelo: 0x2000,
  noReplyToMail: 0x4000,
  noReplyToRcpt: 0x8000,
  noReplyToData: 0x10000,
  noReplyToUnknown: 0x20000,
  noReplyToEndOfHeader: 0x40000,
  noReplyToBody: 0x80000,
  /** Header values keep the blank behind the colon. */
  leadingSpace: 0x100000,
} as const;

/** Versions of the protocol that can be configured (milter_protocol). */
export type ProtocolVersion = 2 | 3 | 4 | 6;

/** What is offered to a filter of version 2, and what each later version has added. */
const STEPS_OF_2 =
  STEP.noConnect | STEP.noHelo | STEP.noMail | STEP.noRcpt | STEP.noBody | STEP.noHeaders | STEP.noEndOfHeader;
const ACTIONS_OF_2 = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20;
const ALL_STEPS = Object.values(STEP).reduce((all, bit) => all | bit, 0);

export const OFFERS: Readonly<Record<ProtocolVersion, { readonly actions: number; readonly steps: number }>> = {
  2: { actions: ACTIONS_OF_2, steps: STEPS_OF_2 },
  3: { actions: ACTIONS_OF_2, steps: STEPS_OF_2 | STEP.noUnknown },
  4: { actions: ACTIONS_OF_2, steps: STEPS_OF_2 | STEP.noUnknown | STEP.noData },
  6: { actions: ACTIONS_OF_2 | 0x40 | 0x80 | 0x100, steps: ALL_STEPS },
};

/** Commands that a filter of an older version does not know, as the steps that others may do without. */
export function unknownTo(version: number): number {
  return (version < 3 ? STEP.noUnknown : 0) | (version < 4 ? STEP.noData : 0);
}

/** Bytes of one body packet. */
export const BODY_BYTES = 65_535;

/** A packet above this is no Milter's: libmilter sends at most 64 KiB of a body, and header fields are shorter. */
const MAX_PACKET = 1024 * 1024;

export interface Packet {
  readonly kind: string;
  readonly data: Buffer;
}

export function encodePacket(kind: string, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const packet = Buffer.allocUnsafe(5 + data.length);
  packet.writeUInt32BE(data.length + 1, 0);
  packet.write(kind, 4, "latin1");
  packet.set(data, 5);
  return packet;
}

/** Texts, each with its NUL. NULs within would shift what follows. */
export function encodeTexts(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text.replaceAll("\0", " ")}\0`).join(""), "utf8");
}

/** Texts that end in NUL; one at the end may lack it. As latin1 a text is its bytes. */
export function decodeTexts(data: Buffer, encoding: "utf8" | "latin1" = "utf8"): readonly string[] {
  const texts = data.toString(encoding).split("\0");
  if (texts.at(-1) === "") texts.pop();
  return texts;
}

/** Finds packets in a byte stream, at any segmentation. */
export class PacketReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** Whole packets; "bad" if this is no Milter. */
  push(chunk: Buffer): readonly Packet[] | "bad" {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const packets: Packet[] = [];
    while (this.#bytes >= 5) {
      const length = this.#peekLength();
      if (length < 1 || length > MAX_PACKET) return "bad";
      if (this.#bytes < 4 + length) break;
      const whole = this.#gather();
      packets.push({ kind: String.fromCharCode(whole[4] as number), data: whole.subarray(5, 4 + length) });
      this.#chunks = [whole.subarray(4 + length)];
      this.#bytes = whole.length - 4 - length;
    }
    return packets;
  }

  #peekLength(): number {
    const [first] = this.#chunks;
    return (first && first.length >= 4 ? first : this.#gather()).readUInt32BE(0);
  }

  #gather(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }
}
