/** milter/filter.ts: one Milter in one SMTP session: what it has said so far, and one event of the session or the message at a
 *  time. After an error the default action counts for the rest of the session. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import { parsePath } from "../mail/path.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { reply } from "../mail/reply.ts";
import { type Answer, answerOf, CONTINUE, defaultAnswer } from "./answer.ts";
import { type MessageEdits, nameOf, valueFor } from "./edits.ts";
import { eventName, responseName } from "./event-names.ts";
import { MilterError, MilterLink } from "./link.ts";
import { BODY_BYTES, COMMAND, decodeTexts, encodeTexts, type Packet, REPLY, STEP } from "./protocol.ts";
import type { MilterSettings } from "./settings.ts";

/** A reply with which no client can be answered. As in Postfix the default action does not count then. */
class BadReply extends MilterError {}

const BAD_REPLY: Answer = {
  kind: "refuse",
  reply: reply(451, "4.3.5", "Server configuration problem - try again later"),
};

/** `name` without braces; undefined: it has no value now. */
export type MacroLookup = (name: string) => string | undefined;

/** A stage with macros of its own; the numbers are libmilter's SMFIM_*. */
export type MacroStage = "connect" | "helo" | "mail" | "rcpt" | "data" | "endOfMessage" | "endOfHeader" | "unknown";
const STAGE_NUMBER: Readonly<Record<MacroStage, number>> = {
  ...{ connect: 0, helo: 1, mail: 2, rcpt: 3, data: 4, endOfMessage: 5, endOfHeader: 6, unknown: -1 },
};

export interface FilterDeps {
  readonly deadlines: Deadlines;
  readonly log: Log;
  /** milter_*_macros: names as they are written there. */
  readonly macroNames: Readonly<Record<MacroStage, readonly string[]>>;
}

/** The body of a message, and a new one in its place. */
export interface MilterBody {
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** The first call begins a new body; chunks() gives it when the message has ended. */
  replace(chunk: Uint8Array): Promise<void>;
  /** A Milter is done: what it replaced is the body from now on. */
  settled(): Promise<void>;
  /** A Milter has failed: what it has replaced counts for nothing. */
  dropNew(): Promise<void>;
}

export interface Step {
  readonly command: string;
  readonly stage?: MacroStage;
  readonly data?: Uint8Array;
  /** The macros, where they are those of several steps. */
  readonly macros?: Uint8Array;
  /** The filter does without the step; as in Postfix it gets the macros. */
  readonly unwanted?: number;
  /** Only for a filter that has asked for it. */
  readonly wanted?: number;
  /** The filter says nothing to it. */
  readonly silent?: number;
}

/** What an answer holds for: all that follows, the message, or this one command. */
export type Where = "session" | "message" | "command";

export class Filter {
  readonly #settings: MilterSettings;
  readonly #deps: FilterDeps;
  readonly #macros: MacroLookup;
  #link: MilterLink | undefined;
  /** Nothing is asked any more: since this answer. */
  #over: Answer | undefined;
  /** The same for this message. */
  #messageOver = false;

  constructor(settings: MilterSettings, deps: FilterDeps, macros: MacroLookup) {
    this.#settings = settings;
    this.#deps = deps;
    this.#macros = macros;
  }

  /** Connects, at the first step of the session. */
  async open(): Promise<void> {
    try {
      this.#link = await MilterLink.open(this.#settings, this.#deps.deadlines);
    } catch (error) {
      this.#failed(error, undefined);
    }
  }

  /** A step of the session. */
  async step(step: Step, where: Where): Promise<Answer> {
    if (this.#over) return this.#over.kind === "accept" ? CONTINUE : this.#over;
    if (where !== "session" && this.#messageOver) return CONTINUE;
    const link = this.#link;
    const { unwanted = 0, wanted = 0 } = step;
    if (!link || (link.unknown & unwanted) !== 0 || (link.steps & wanted) !== wanted) return CONTINUE;
    try {
      this.#sendMacros(link, step);
      if ((link.steps & unwanted) !== 0) return CONTINUE;
      this.#ask(link, step.command, step.data);
      if ((link.steps & (step.silent ?? 0)) !== 0) {
        // The fields of a header go out together.
        if (step.command !== COMMAND.header) await link.flushed(this.#settings.commandMs);
        return CONTINUE;
      }
      return this.#take(this.#understood(await link.read(this.#settings.commandMs), step.command), where);
    } catch (error) {
      return this.#failed(error, step.command);
    }
  }

  /** Header, body and end of a message; changes go into `edits` and `body`: all of a Milter's, or none if it fails. */
  async content(edits: MessageEdits, body: MilterBody): Promise<Answer> {
    const seen = await this.#header(edits);
    const read = seen.kind === "continue" ? await this.#body(body) : seen;
    const wanted = read.kind === "continue" || read.kind === "skip";
    if (!wanted || this.#messageOver || this.#over || !this.#link) return read.kind === "skip" ? CONTINUE : read;
    const before = edits.mark();
    try {
      return await this.#endOfMessage(this.#link, edits, body);
    } catch (error) {
      const answer = this.#failed(error, COMMAND.endOfBody);
      edits.backTo(before);
      await body.dropNew();
      return answer;
    }
  }

  /** What was said of a message counts no longer. As in Postfix also where there is none. */
  abort(): void {
    if (!this.#over) this.#link?.tell(COMMAND.abort);
    this.#messageOver = false;
  }

  quit(): void {
    this.#link?.quit();
    this.#link = undefined;
  }

  /** The macros of its end stand before each field, those of the message's end before each part of the body: as in Postfix. */
  async #header(edits: MessageEdits): Promise<Answer> {
    const link = this.#link;
    if (!link) return CONTINUE;
    const { steps } = link;
    const macros = this.#macrosOf(link, "endOfHeader");
    for (const field of (steps & STEP.noHeaders) === 0 ? edits.visible : []) {
      const value = valueFor(field, (steps & STEP.leadingSpace) !== 0);
      const data = Buffer.concat([encodeTexts([nameOf(field)]), value, Buffer.alloc(1)]);
      const step = { command: COMMAND.header, macros, data, silent: STEP.noReplyToHeaders };
      const answer = await this.step(step, "message");
      if (answer.kind !== "continue" || this.#messageOver) return answer;
    }
    if ((steps & STEP.noEndOfHeader) !== 0) return CONTINUE;
    return this.step({ command: COMMAND.endOfHeader, macros, silent: STEP.noReplyToEndOfHeader }, "message");
  }

  async #body(body: MilterBody): Promise<Answer> {
    const link = this.#link;
    if (this.#messageOver || !link || (link.steps & STEP.noBody) !== 0) return CONTINUE;
    const macros = this.#macrosOf(link, "endOfMessage");
    for await (const chunk of body.chunks()) {
      for (let at = 0; at < chunk.length; at += BODY_BYTES) {
        const data = chunk.subarray(at, at + BODY_BYTES);
        const answer = await this.step({ command: COMMAND.body, macros, data, silent: STEP.noReplyToBody }, "message");
        if (answer.kind !== "continue" || this.#messageOver) return answer;
      }
    }
    return CONTINUE;
  }

  async #endOfMessage(link: MilterLink, edits: MessageEdits, body: MilterBody): Promise<Answer> {
    this.#sendMacros(link, { command: COMMAND.endOfBody, stage: "endOfMessage" });
    this.#ask(link, COMMAND.endOfBody);
    edits.leadingSpace = (link.steps & STEP.leadingSpace) !== 0;
    for (;;) {
      const packet = await link.read(this.#settings.contentMs);
      if (packet.kind === REPLY.replaceBody) await body.replace(packet.data);
      else if (!(await this.#applied(packet, edits))) {
        const answer = this.#understood(packet, COMMAND.endOfBody);
        return answer.kind === "accept" ? CONTINUE : answer;
      }
    }
  }

  /** An answer that came before its question belongs to another one: nobody can tell what the next would mean. */
  #ask(link: MilterLink, command: string, data?: Uint8Array): void {
    if (link.unread) throw new MilterError("answered what it was not asked");
    link.send(command, data);
  }

  #understood(packet: Packet, command: string): Answer {
    const answer = answerOf(packet);
    if (answer) return answer;
    if (packet.kind === REPLY.replyCode) throw new BadReply(`malformed reply: ${decodeTexts(packet.data)[0] ?? ""}`);
    throw new MilterError(`unexpected filter response ${responseName(packet.kind)} after event ${eventName(command)}`);
  }

  #take(answer: Answer, where: Where): Answer {
    if (answer.kind === "continue" || answer.kind === "skip" || where === "command") return answer;
    // There is no message yet: as in Postfix that means nothing.
    if (where === "session" && answer.kind === "discard") return CONTINUE;
    if (where === "session" || (answer.kind === "refuse" && answer.shutdown)) this.#over = answer;
    // A refused recipient is only that: the message goes on.
    else if (answer.kind === "accept" || answer.kind === "discard") this.#messageOver = true;
    return answer.kind === "accept" ? CONTINUE : answer;
  }

  #sendMacros(link: MilterLink, { command, stage, macros }: Step): void {
    const sent = macros ?? (stage && this.#macrosOf(link, stage));
    if (sent) link.send(COMMAND.macro, Buffer.concat([Buffer.from(command, "latin1"), sent]));
  }

  /** Names and values, as they are now. */
  #macrosOf(link: MilterLink, stage: MacroStage): Buffer {
    const names = link.macros.get(STAGE_NUMBER[stage]) ?? this.#deps.macroNames[stage];
    const texts = names.flatMap((name) => {
      const value = this.#macros(name.replace(/^\{(.*)\}$/, "$1"));
      return value === undefined ? [] : [name, value];
    });
    return encodeTexts(texts);
  }

  /** `command`: what was asked; undefined: nothing yet. */
  #failed(error: unknown, command: string | undefined): Answer {
    if (!(error instanceof MilterError)) throw error;
    const what = command === undefined ? "connect to Milter service" : "milter";
    const why = command === undefined || error.link === undefined ? error.message : unread(command, error.link);
    this.#warn(`${what} ${this.#settings.name}: ${why}`);
    this.#link?.close();
    this.#link = undefined;
    this.#over = error instanceof BadReply ? BAD_REPLY : defaultAnswer(this.#settings.defaultAction);
    return this.#over.kind === "accept" ? CONTINUE : this.#over;
  }

  #warn(text: string): void {
    this.#deps.log.warning(printableUtf8(text));
  }

  /** A promise, or true, for a packet that is a change. Throws or rejects MilterError for one that cannot be made. */
  #applied({ kind, data }: Packet, edits: MessageEdits): Awaitable<boolean> {
    switch (kind) {
      case REPLY.addHeader: {
        const [name = "", value = ""] = decodeTexts(data, "latin1");
        return whenKnown(edits.add(checkedName(name), value), () => true);
      }
      case REPLY.insertHeader:
      case REPLY.changeHeader: {
        if (data.length < 5) throw new MilterError("a header change without its position");
        const [name = "", value = ""] = decodeTexts(data.subarray(4), "latin1");
        const position = data.readUInt32BE(0);
        const how = kind === REPLY.insertHeader ? "insert" : "change";
        return whenKnown(edits[how](position, checkedName(name), value), () => true);
      }
      default:
        return this.#appliedToEnvelope({ kind, data }, edits);
    }
  }

  #appliedToEnvelope({ kind, data }: Packet, edits: MessageEdits): boolean {
    const [first = "", parameters = ""] = decodeTexts(data);
    switch (kind) {
      case REPLY.addRecipient:
      case REPLY.addRecipientWithParameters:
        if (kind === REPLY.addRecipientWithParameters) this.#ignored("cleanup_add_rcpt", parameters);
        edits.recipients.push({ kind: "add", address: addressOf(first) });
        return true;
      case REPLY.deleteRecipient:
        edits.recipients.push({ kind: "delete", address: addressOf(first) });
        return true;
      case REPLY.changeSender:
        this.#ignored("cleanup_chg_from", parameters);
        edits.sender = addressOf(first);
        return true;
      case REPLY.quarantine:
        edits.quarantine = first;
        return true;
      default:
        return false;
    }
  }

  /** In Postfix's words. */
  #ignored(what: string, parameters: string): void {
    // Of these Postfix says nothing.
    const told = parameters.split(" ").filter((word) => word !== "" && !/^(?:SIZE|BODY)=/i.test(word));
    if (told.length === 0) return;
    const shown = told.join(" ").slice(0, 100);
    this.#warn(`${this.#macros("i") ?? "NOQUEUE"}: ${what}: ignoring ESMTP arguments "${shown}"`);
  }
}
function checkedName(name: string): string {
  if (/^[\x21-\x39\x3b-\x7e]+$/.test(name)) return name;
  throw new MilterError(`bad header name ${JSON.stringify(name.slice(0, 100))}`);
}

/** In any form that MAIL and RCPT take. */
function addressOf(text: string): Address {
  const path = text.trim().startsWith("<") ? text : `<${text}>`;
  const parsed = parsePath(path, { strict: false, utf8: true, nullAllowed: true });
  if (parsed) return parsed.address;
  throw new MilterError(`bad address ${JSON.stringify(text.slice(0, 100))}`);
}

/** Postfix's words for it. */
function unread(command: string, link: "broken" | "silent"): string {
  const why = link === "silent" ? "Connection timed out" : "Application error";
  return `can't read ${eventName(command)} reply packet header: ${why}`;
}
