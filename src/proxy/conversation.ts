/** proxy/conversation.ts: SMTP with a before-queue filter, one connection for each mail transaction, as smtpd(8) does it:
 *  greeting, EHLO, XFORWARD, MAIL; then what the session passes on. Log lines as smtpd_proxy.c.
 *  States: open → in content (between 354 and the answer to the final dot) → open; any failure → broken, for good. */
import type { Deadlines } from "../base/deadlines.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { ClientConnection, ConnectionError } from "../net/client-connection.ts";
import { DotStuffing } from "./dot-stuffing.ts";
import type { FilterAnswer, FilteredMail, FilteredStart, FilterOpened } from "./filter.ts";
import type { FilterSettings } from "./settings.ts";
import { xforwardCommands } from "./xforward.ts";

/** In place of an answer that the filter did not give. */
export const NO_ANSWER: Reply = reply(451, "4.3.0", "Error: queue file write error");

/** More lines than any answer has. */
const MAX_LINES = 100;
/** Of a garbled answer, in the log. */
const MAX_SHOWN = 100;

export interface ConversationOptions {
  readonly settings: FilterSettings;
  readonly deadlines: Deadlines;
}

/** Connects and passes MAIL on. */
export async function openConversation(start: FilteredStart, options: ConversationOptions): Promise<FilterOpened> {
  const { settings, deadlines } = options;
  const { log } = start;
  let connection: ClientConnection;
  try {
    connection = await ClientConnection.open({ peer: settings.peer, deadlines, timeoutMs: settings.timeoutMs });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    log.warning(`connect to proxy filter ${settings.name}: ${printableAscii(error.message)}`);
    return { refused: NO_ANSWER };
  }
  const conversation = new Conversation(connection, settings, log);
  const refused = await conversation.introduce(start);
  if (refused === undefined) return { mail: conversation };
  conversation.close();
  return { refused };
}

class Conversation implements FilteredMail {
  readonly #connection: ClientConnection;
  readonly #settings: FilterSettings;
  readonly #log: Log;
  readonly #stuffing = new DotStuffing();
  #inContent = false;
  #broken = false;

  constructor(connection: ClientConnection, settings: FilterSettings, log: Log) {
    this.#connection = connection;
    this.#settings = settings;
    this.#log = log;
  }

  /** From the greeting to MAIL; why the client's recipient cannot be taken, or undefined. */
  async introduce({ mail, origin }: FilteredStart): Promise<Reply | undefined> {
    const greeting = await this.#answer("connection request", /^2/);
    // What a filter says of itself is not for clients; what it says of their mail is.
    if (!greeting.accepted) return NO_ANSWER;
    const hello = await this.#command(`EHLO ${this.#settings.ehloName}`);
    if (!hello.accepted) return NO_ANSWER;
    const announced = hello.reply.lines.find((line) => /^XFORWARD(?:\s|$)/i.test(line))?.slice("XFORWARD".length);
    for (const command of xforwardCommands(announced, origin)) {
      if (!(await this.#command(command)).accepted) return NO_ANSWER;
    }
    const taken = await this.#command(mail);
    return taken.accepted ? undefined : taken.reply;
  }

  recipient(command: string): Promise<FilterAnswer> {
    return this.#command(command);
  }

  async begin(): Promise<FilterAnswer> {
    const answer = await this.#command("DATA", /^3/);
    this.#inContent = answer.accepted;
    return answer;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#broken) return;
    try {
      let slow: Promise<void> | undefined;
      for (const piece of this.#stuffing.stuff(chunk)) {
        const wait = this.#connection.write(Buffer.from(piece), this.#settings.timeoutMs);
        if (wait) slow = wait;
      }
      return slow?.catch((error: unknown) => this.#failed(error));
    } catch (error) {
      this.#failed(error);
    }
  }

  async end(): Promise<FilterAnswer> {
    const answer = await this.#send(this.#stuffing.end(), ".");
    this.#inContent = false;
    return answer;
  }

  close(): void {
    if (this.#broken) return;
    this.#broken = true;
    // Behind a QUIT in its content a filter might take what it has for the message.
    if (this.#inContent) this.#connection.destroy();
    else this.#connection.end("QUIT\r\n");
  }

  #command(command: string, wanted = /^2/): Promise<FilterAnswer> {
    return this.#send(`${command}\r\n`, command, wanted);
  }

  /** `asked` stands in the log. The end of content wants any answer: what it says is logged by the session. */
  async #send(bytes: string | Uint8Array, asked: string, wanted = /^2/): Promise<FilterAnswer> {
    if (this.#broken) return { accepted: false, reply: NO_ANSWER };
    try {
      const slow = this.#connection.write(bytes, this.#settings.timeoutMs);
      if (slow) await slow;
    } catch (error) {
      this.#failed(error);
    }
    return this.#answer(asked, wanted);
  }

  /** The next answer of the filter. */
  async #answer(asked: string, wanted: RegExp): Promise<FilterAnswer> {
    if (this.#broken) return { accepted: false, reply: NO_ANSWER };
    try {
      const lines = await this.#readLines();
      const code = lines[0]?.slice(0, 3) ?? "";
      const accepted = wanted.test(code);
      const text = lines.join("\r\n");
      if (!accepted && asked !== ".") {
        this.#log.warning(
          `proxy ${this.#settings.name} rejected "${printableAscii(asked)}": "${printableAscii(text)}"`,
        );
      }
      return { accepted, reply: accepted || code >= "4" ? replyOf(code, lines) : NO_ANSWER };
    } catch (error) {
      this.#failed(error);
      return { accepted: false, reply: NO_ANSWER };
    }
  }

  async #readLines(): Promise<readonly string[]> {
    const lines: string[] = [];
    while (lines.length < MAX_LINES) {
      const line = await this.#connection.readLine(this.#settings.timeoutMs);
      if (/^[2-5]\d\d(?:[ -]|$)/.test(line)) {
        lines.push(line);
        if (line[3] !== "-") return lines;
      } else {
        const shown = printableAscii(line).slice(0, MAX_SHOWN);
        this.#log.warning(`received garbage from proxy ${this.#settings.name}: ${shown}`);
      }
    }
    throw new ConnectionError("protocol", "answer too long");
  }

  #failed(error: unknown): void {
    if (!(error instanceof ConnectionError)) throw error;
    if (this.#broken) return;
    this.#broken = true;
    const { name } = this.#settings;
    this.#log.warning(
      error.kind === "timeout" ? `timeout talking to proxy ${name}` : `lost connection with proxy ${name}`,
    );
    this.#connection.destroy();
  }
}

/** The words of the filter as a reply. */
function replyOf(code: string, lines: readonly string[]): Reply {
  return { code: Number(code), dsn: undefined, lines: lines.map((line) => printableAscii(line.slice(4))) };
}
