/** milter/link.ts: one connection to one Milter: connect, negotiate, commands and their replies, each within its time.
 *  Knows packets, not what they mean for mail. */
import type { Deadline, Deadlines } from "../base/deadlines.ts";
import { type ByteSocket, openByteSocket } from "../net/byte-socket.ts";
import {
  COMMAND,
  decodeTexts,
  encodePacket,
  OFFERS,
  type Packet,
  PacketReader,
  REPLY,
  STEP,
  unknownTo,
} from "./protocol.ts";
import type { MilterSettings } from "./settings.ts";

/** Bytes that may wait for a Milter that does not read; more than the header of any message. */
const SEND_LIMIT = 16 * 1024 * 1024;

/** Bytes that are held back at most. */
const MAX_UNSENT = 16 * 1024;

/** Packets that may wait to be read before the Milter has to. */
const MAX_WAITING = 16;

/** The Milter cannot be used any more. */
export class MilterError extends Error {
  override readonly name = "MilterError";
  /** The connection broke, or nothing came in time. */
  readonly link: "broken" | "silent" | undefined;

  constructor(text: string, link?: MilterError["link"]) {
    super(text);
    this.link = link;
  }
}

interface Waiter {
  resolve(packet: Packet): void;
  reject(error: MilterError): void;
}

export class MilterLink {
  readonly #settings: MilterSettings;
  readonly #deadline: Deadline;
  readonly #reader = new PacketReader();
  #socket: ByteSocket | undefined;
  #packets: Packet[] = [];
  /** Held back, so that macros, fields and a command go out as one. */
  #unsent: Buffer[] = [];
  #unsentBytes = 0;
  #waiter: Waiter | undefined;
  #error: MilterError | undefined;
  #timeoutMs = 0;
  #opened: (() => void) | undefined;
  /** What was negotiated about steps: STEP. */
  steps = 0;
  /** Steps that do not exist in the version that it speaks. */
  unknown = 0;
  /** Macros that it asked for, by the number of the stage (SMFIM_*). */
  readonly macros = new Map<number, readonly string[]>();

  private constructor(settings: MilterSettings, deadlines: Deadlines) {
    this.#settings = settings;
    this.#deadline = deadlines.open(() => this.#fail("timed out"));
  }

  /** Connected and negotiated. Rejects MilterError. */
  static async open(settings: MilterSettings, deadlines: Deadlines): Promise<MilterLink> {
    const link = new MilterLink(settings, deadlines);
    try {
      await link.#connect();
      await link.#negotiate();
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Sends a command, together with what follows: at the latest when an answer is waited for. Throws MilterError. */
  send(kind: string, data?: Uint8Array): void {
    if (this.#error) throw this.#error;
    const packet = encodePacket(kind, data);
    this.#unsent.push(packet);
    this.#unsentBytes += packet.length;
    if (this.#unsentBytes > MAX_UNSENT) this.flush();
  }

  /** Sends what is held back. */
  flush(): void {
    const unsent = this.#unsent;
    if (unsent.length === 0) return;
    this.#unsent = [];
    this.#unsentBytes = 0;
    this.#socket?.send(unsent.length === 1 && unsent[0] ? unsent[0] : Buffer.concat(unsent));
  }

  /** The next packet that is no progress report; each of those begins the time anew. Rejects MilterError. */
  async read(timeoutMs: number): Promise<Packet> {
    for (;;) {
      const packet = await this.#next(timeoutMs);
      if (packet.kind !== REPLY.progress) return packet;
    }
  }

  /** Waits until the Milter has read most of what was sent. Rejects MilterError. */
  async flushed(timeoutMs: number): Promise<void> {
    this.flush();
    const drained = this.#socket?.drained();
    if (drained) {
      this.#timeoutMs = timeoutMs;
      this.#deadline.arm(timeoutMs);
      await drained;
      this.#deadline.disarm();
    }
    if (this.#error) throw this.#error;
  }

  /** Something has come that nobody has asked for. */
  get unread(): boolean {
    return this.#packets.some(({ kind }) => kind !== REPLY.progress);
  }

  /** Ends the connection at once. */
  close(): void {
    this.#deadline.close();
    this.#socket?.close();
    this.#socket = undefined;
    this.#error ??= new MilterError("connection closed", "broken");
  }

  /** Sends a command that is not answered. Of a connection that has failed the next question tells. */
  tell(kind: string): void {
    if (this.#error) return;
    this.send(kind);
    this.flush();
  }

  /** Says goodbye first. */
  quit(): void {
    this.tell(COMMAND.quit);
    this.close();
  }

  #connect(): Promise<void> {
    const { target, connectMs } = this.#settings;
    this.#timeoutMs = connectMs;
    this.#deadline.arm(connectMs);
    return new Promise((resolve, reject) => {
      this.#opened = () => {
        this.#opened = undefined;
        this.#deadline.disarm();
        resolve();
      };
      this.#waiter = { resolve: () => undefined, reject };
      this.#socket = openByteSocket({
        target,
        sendLimitBytes: SEND_LIMIT,
        onOpen: () => {
          this.#waiter = undefined;
          this.#opened?.();
        },
        onBytes: (chunk) => this.#receive(chunk),
        onClose: (reason) => this.#fail(reason),
      });
    });
  }

  async #negotiate(): Promise<void> {
    const offer = Buffer.alloc(12);
    const { version: ours, noHeaderReply } = this.#settings;
    const { actions: allowed, steps: known } = OFFERS[ours];
    const offered = known | (noHeaderReply ? STEP.noReplyToHeaders : 0);
    for (const [i, word] of [ours, allowed, offered].entries()) offer.writeUInt32BE(word, i * 4);
    this.send(COMMAND.options, offer);
    const { kind, data } = await this.read(this.#settings.commandMs);
    if (kind !== COMMAND.options || data.length < 12) throw new MilterError("no option negotiation");
    const [version, actions, steps] = [data.readUInt32BE(0), data.readUInt32BE(4), data.readUInt32BE(8)];
    if (version < 2 || version > ours) throw new MilterError(`protocol version ${version}`);
    const [odd, strange] = [actions & ~allowed, steps & ~offered];
    if (odd !== 0) throw new MilterError(`unknown actions 0x${(odd >>> 0).toString(16)}`);
    if (strange !== 0) throw new MilterError(`unknown protocol steps 0x${(strange >>> 0).toString(16)}`);
    this.steps = steps;
    this.unknown = unknownTo(version);
    this.#readMacros(data.subarray(12));
  }

  /** SMFIF_SETSYMLIST: number of the stage, names with blanks between them. */
  #readMacros(data: Buffer): void {
    for (let at = 0; at + 4 <= data.length; ) {
      const stage = data.readUInt32BE(at);
      const end = data.indexOf(0, at + 4);
      const stop = end < 0 ? data.length : end;
      const [names = ""] = decodeTexts(data.subarray(at + 4, stop));
      this.macros.set(stage, names.split(/[\s,]+/).filter(Boolean));
      at = stop + 1;
    }
  }

  #next(timeoutMs: number): Promise<Packet> {
    this.flush();
    const packet = this.#packets.shift();
    if (packet) return Promise.resolve(packet);
    if (this.#error) return Promise.reject(this.#error);
    this.#socket?.resume();
    this.#timeoutMs = timeoutMs;
    this.#deadline.arm(timeoutMs);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  #receive(chunk: Buffer): void {
    const packets = this.#reader.push(chunk);
    if (packets === "bad") {
      this.#end(new MilterError("what it says is no Milter protocol"));
      return;
    }
    for (const packet of packets) this.#packets.push(packet);
    if (this.#packets.length > MAX_WAITING) this.#socket?.pause();
    const waiter = this.#waiter;
    const first = waiter && this.#packets.shift();
    if (!waiter || !first) return;
    this.#waiter = undefined;
    this.#deadline.disarm();
    waiter.resolve(first);
  }

  #fail(reason: string): void {
    const silent = reason === "timed out";
    const text = silent ? `no answer within ${this.#timeoutMs / 1000} s` : reason;
    this.#end(new MilterError(text, silent ? "silent" : "broken"));
  }

  #end(error: MilterError): void {
    this.#error ??= error;
    this.#deadline.disarm();
    this.#socket?.close();
    this.#socket = undefined;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(this.#error);
  }
}
