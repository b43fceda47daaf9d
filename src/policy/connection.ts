/** policy/connection.ts: one connection to a policy server: sends a request, reads its answer, one after the other.
 *  States: connecting, idle, asking (a request may wait for the connection to open), over.
 *  Data that nobody asked for ends the connection: the next answer must not be mistaken for the last one's rest. Knows no
 *  time: the owner calls abandon(). */
import type { Clock } from "../base/clock.ts";
import { printableAscii } from "../mail/printable.ts";
import { type LineSocket, openLineSocket } from "../net/socket-client.ts";
import { AnswerReader } from "./answer-reader.ts";
import type { ServiceSettings } from "./service-settings.ts";

/** Far more than one request. */
const SEND_LIMIT_BYTES = 256 * 1024;

export type Exchange =
  | { readonly kind: "answer"; readonly action: string; readonly unexpected: string | undefined }
  /** `why` is the error as Postfix's `%m`, `warning` the line that goes before it. */
  | { readonly kind: "failed"; readonly why: string; readonly warning: string };

export interface ConnectionOptions {
  readonly settings: ServiceSettings;
  readonly clock: Clock;
  /** The connection ended, or got data, while nobody asked anything. */
  readonly onUnfit: (connection: PolicyConnection) => void;
}

export class PolicyConnection {
  readonly #options: ConnectionOptions;
  readonly #socket: LineSocket;
  readonly #openedAt: number;
  #state: "connecting" | "idle" | "asking" | "over" = "connecting";
  #connected = false;
  #reader = new AnswerReader();
  #unsent: readonly string[] | undefined;
  #settle: ((result: Exchange) => void) | undefined;
  #ended: Exchange | undefined;
  /** Requests that were answered. */
  answered = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#openedAt = options.clock.monotonic();
    this.#socket = openLineSocket({
      target: options.settings.target,
      lineLimitBytes: options.settings.lineLimitBytes,
      sendLimitBytes: SEND_LIMIT_BYTES,
      onOpen: () => this.#opened(),
      onLine: (line) => this.#receive(line),
      onClose: (reason) => this.#closed(reason),
    });
  }

  /** Milliseconds since it was opened. */
  get ageMs(): number {
    return this.#options.clock.monotonic() - this.#openedAt;
  }

  /** Whether it can take a request. */
  get isUsable(): boolean {
    return this.#state === "connecting" || this.#state === "idle";
  }

  /** Sends a request and waits for its answer; never rejects. One at a time. */
  exchange(lines: readonly string[]): Promise<Exchange> {
    if (this.#ended !== undefined) return Promise.resolve(this.#ended);
    if (this.#settle !== undefined) throw new Error("A policy connection takes one request at a time");
    this.#state = "asking";
    this.#reader = new AnswerReader();
    return new Promise((resolve) => {
      this.#settle = resolve;
      if (this.#connected) this.#socket.sendLines(lines);
      else this.#unsent = lines;
    });
  }

  /** The time for the answer is over. */
  abandon(): void {
    const { endpoint } = this.#options.settings;
    const warning = this.#connected
      ? `timeout on ${endpoint} while reading input attribute name`
      : `connect to ${endpoint}: Connection timed out`;
    this.#end({ kind: "failed", why: "Connection timed out", warning });
  }

  /** Ends it for good; a request under way fails. */
  close(): void {
    const { endpoint } = this.#options.settings;
    this.#end({ kind: "failed", why: "service is closing", warning: `connection to ${endpoint} closed` });
  }

  #opened(): void {
    this.#connected = true;
    if (this.#state === "connecting") this.#state = "idle";
    if (this.#unsent !== undefined) this.#socket.sendLines(this.#unsent);
    this.#unsent = undefined;
  }

  #receive(line: string): void {
    const { settings, onUnfit } = this.#options;
    if (this.#state === "over") return;
    if (this.#state !== "asking") {
      this.close();
      onUnfit(this);
      return;
    }
    const step = this.#reader.push(line);
    if (step.kind === "more") return;
    const bad = step.kind === "malformed" ? `${step.why} from ${settings.endpoint}` : this.#badText(step.action);
    if (step.kind === "malformed" || bad !== undefined) {
      this.#end({ kind: "failed", why: "malformed answer", warning: bad ?? "" });
      return;
    }
    this.answered++;
    this.#state = "idle";
    this.#finish({ kind: "answer", action: step.action, unexpected: this.#reader.unexpected });
  }

  /** U+FFFD is what the socket makes of bytes that are not UTF-8. */
  #badText(action: string): string | undefined {
    const { utf8, endpoint } = this.#options.settings;
    if (!utf8 || !action.includes("\ufffd")) return undefined;
    return `malformed UTF-8 in policy server ${endpoint} response: "${printableAscii(action)}"`;
  }

  #closed(reason: string): void {
    const { endpoint } = this.#options.settings;
    const idle = this.#state !== "asking";
    const warning = !this.#connected
      ? `connect to ${endpoint}: ${reason}`
      : reason === "line too long"
        ? `string length > ${this.#options.settings.lineLimitBytes} characters from ${endpoint} while reading input attribute value`
        : `premature end-of-input on ${endpoint} while reading input attribute name`;
    this.#end({ kind: "failed", why: reason, warning });
    if (idle) this.#options.onUnfit(this);
  }

  #end(how: Exchange): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#ended = how;
    this.#socket.close();
    this.#finish(how);
  }

  #finish(result: Exchange): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(result);
  }
}
