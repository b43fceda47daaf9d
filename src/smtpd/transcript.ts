/** smtpd/transcript.ts: what was said in a session, for the postmaster (notify_classes; Postfix's smtpd_chat.c): kept while it
 *  lasts, bounded, and handed over when it ends or has become long, if something went wrong that somebody wants to know. */
import type { Reply } from "../mail/reply.ts";

/** What may be wrong with a session, as notify_classes names it. */
export type TroubleClass = "data" | "policy" | "protocol" | "resource" | "software";

export const TROUBLE_CLASSES: readonly TroubleClass[] = ["data", "policy", "protocol", "resource", "software"];

/** What the postmaster is told. */
export interface SessionNotice {
  /** `name[address]`. */
  readonly peer: string;
  /** `In:  EHLO x`, `Out: 250 …`, one for each line. Bytes of the client: to be made printable. */
  readonly lines: readonly string[];
  /** Why it ended early: "timeout", "lost connection", "too many errors". */
  readonly reason: string | undefined;
}

/** Who tells the postmaster. */
export interface SessionNotices {
  /** Those that he wants to hear of; at least one. */
  readonly classes: ReadonlySet<TroubleClass>;
  /** smtpd_history_flush_threshold: at EHLO, RSET, end of DATA a transcript with more lines is done with. */
  readonly flushLines: number;
  /** Never throws. */
  send(notice: SessionNotice): void;
}

/** Beyond these nothing is kept until the next flush. */
const MAX_LINES = 500;
const MAX_LINE_CHARS = 1000;

export class Transcript {
  readonly #notices: SessionNotices;
  /** Lines of the client, and whole replies as they were sent: nearly all of this is never read, so it is put into shape last. */
  #said: string[] = [];
  #lineCount = 0;
  #trouble = false;
  reason: string | undefined;

  constructor(notices: SessionNotices) {
    this.#notices = notices;
  }

  /** A line of the client, secrets replaced. */
  heard(text: string): void {
    this.#keep(`In:  ${text.length > MAX_LINE_CHARS ? text.slice(0, MAX_LINE_CHARS) : text}`, 1);
  }

  /** A reply as it is sent. */
  said(reply: Reply, wire: string): void {
    if (reply.code >= 400) {
      const what = troubleOf(reply);
      if (this.#notices.classes.has(what)) this.#trouble = true;
    }
    this.#keep(wire, reply.lines.length);
  }

  /** EHLO, RSET, end of DATA. */
  pause(peer: string): void {
    if (this.#lineCount > this.#notices.flushLines) this.end(peer);
  }

  /** Tells, if there is something to tell, and begins anew. */
  end(peer: string): void {
    const { reason } = this;
    if (this.#trouble) this.#notices.send({ peer, lines: this.#lines(), reason });
    this.#said = [];
    this.#lineCount = 0;
    this.#trouble = false;
  }

  #keep(said: string, lines: number): void {
    if (this.#lineCount < MAX_LINES) this.#said.push(said);
    this.#lineCount += lines;
  }

  #lines(): readonly string[] {
    const lines = this.#said.flatMap((said) => {
      if (!said.endsWith("\r\n")) return said;
      return said
        .split("\r\n")
        .slice(0, -1)
        .map((line) => `Out: ${line.slice(0, MAX_LINE_CHARS)}`);
    });
    return lines.length < this.#lineCount ? [...lines, "(more was said)"] : lines;
  }
}

/** What a refusal says of the session. Postfix's error masks at their many places follow from its codes, which are ours. */
export function troubleOf({ code, dsn = "" }: Reply): TroubleClass {
  const detail = dsn.slice(dsn.indexOf(".") + 1);
  if (detail === "3.1" || code === 452) return "resource";
  if (detail === "3.0" && code < 500) return code === 421 ? "data" : "software";
  if ((code >= 500 && code <= 504) || code === 555 || detail.startsWith("5.") || detail === "4.2") return "protocol";
  return "policy";
}
