/** log/log.ts: the door to the log for every room. Text is Postfix's text (design §2.5, §12); what happens to a record
 *  (maillog text, JSON, syslog) is decided behind LogSink. Secrets never reach this door. */

export type Severity = "info" | "warning" | "error" | "fatal" | "panic";

/** What happened, as fields of JSON (docs/log-format.md); members that are undefined are left out. */
export type LogFields = Readonly<Record<string, string | number | undefined>>;

/** One log record. `text` is printable and has no line end. */
export interface LogRecord {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** "postfix/submission/smtpd": $syslog_name/program. */
  readonly tag: string;
  /** In brackets behind the tag; unique per smtpd session. */
  readonly id: number;
  readonly severity: Severity;
  readonly text: string;
  /** The same event as fields, for JSON; the text must say all an operator needs. A function costs the text form nothing;
   *  a sink calls it at once or never. */
  readonly fields?: LogFields | (() => LogFields) | undefined;
}

/** Takes records; never blocks and never throws. */
export type LogSink = (record: LogRecord) => void;

/** A sink bound to one tag and id. */
export class Log {
  readonly #sink: LogSink;
  readonly #now: () => number;
  readonly tag: string;
  readonly id: number;

  constructor(options: { sink: LogSink; now: () => number; tag: string; id: number }) {
    this.#sink = options.sink;
    this.#now = options.now;
    this.tag = options.tag;
    this.id = options.id;
  }

  info(text: string, fields?: LogRecord["fields"]): void {
    this.#emit("info", text, fields);
  }

  warning(text: string, fields?: LogRecord["fields"]): void {
    this.#emit("warning", text, fields);
  }

  error(text: string, fields?: LogRecord["fields"]): void {
    this.#emit("error", text, fields);
  }

  /** The same sink under another program name (and id): `with("postfix/qmgr")`. */
  with(tag: string, id = this.id): Log {
    return new Log({ sink: this.#sink, now: this.#now, tag, id });
  }

  #emit(severity: Severity, text: string, fields: LogRecord["fields"]): void {
    this.#sink({ at: this.#now(), tag: this.tag, id: this.id, severity, text, fields });
  }
}
