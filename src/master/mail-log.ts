/** master/mail-log.ts: the log as the master owns it: its own records and the workers' lines go to maillog_file and to
 *  postern_syslog_server. Both follow a reload; the file is opened again after rotation. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { parseJsonLine } from "../log/json-line.ts";
import { LineBatch } from "../log/line-batch.ts";
import { type LineFormat, lineFormat } from "../log/line-format.ts";
import { Log, type LogSink } from "../log/log.ts";
import { LogFile } from "../log/log-file.ts";
import { SyslogOutput } from "./syslog-output.ts";

/** A worker's line that is longer is passed on in pieces. */
const MAX_PARTIAL_BYTES = 1024 * 1024;
const LF = 0x0a;

export interface MailLogOptions {
  /** Where the log goes when maillog_file is empty; undefined: data_directory/maillog. */
  readonly defaultLog: string | undefined;
  /** One line to the operator's terminal. */
  readonly say: (line: string) => void;
  readonly clock: Clock;
  /** Of the master. */
  readonly pid: number;
}

export class MailLog {
  readonly #options: MailLogOptions;
  readonly #batch: LineBatch;
  #file: LogFile;
  #syslog: SyslogOutput | undefined;
  #fileFormat: LineFormat;

  /** Throws where the CA file of the syslog server cannot be read. */
  constructor(params: Parameters, options: MailLogOptions) {
    this.#options = options;
    this.#fileFormat = fileFormat(params);
    this.#syslog = this.#openSyslog(params);
    this.#file = this.#open(params);
    if (params.get("maillog_file") === "" && this.#file.path !== "/dev/stdout") {
      options.say(`postern: the log is ${this.#file.path}; maillog_file names another`);
    }
    const writer = {
      write: (lines: string) => this.#take(Buffer.from(lines)),
      waitingBytes: () => this.#file.waitingBytes(),
    };
    this.#batch = new LineBatch(writer, workerFormat(params), options.clock);
  }

  /** Of the master's own records. */
  get sink(): LogSink {
    return this.#batch.sink;
  }

  /** A reader for one worker's pipe: lines of several workers are never mixed. */
  reader(): (chunk: Uint8Array) => void {
    let partial: Uint8Array = new Uint8Array(0);
    return (chunk) => {
      const bytes = partial.length === 0 ? chunk : Buffer.concat([partial, chunk]);
      const end = bytes.length > MAX_PARTIAL_BYTES ? bytes.length : bytes.lastIndexOf(LF) + 1;
      partial = bytes.subarray(end);
      if (end > 0) this.#take(bytes.subarray(0, end));
    };
  }

  /** After a reload: another file, mode, form or server. The file is opened again in any case, as it may have been moved away. */
  async configure(params: Parameters): Promise<void> {
    const old = { file: this.#file, syslog: this.#syslog };
    this.#syslog = this.#reopenSyslog(params);
    this.#batch.format = workerFormat(params);
    this.#fileFormat = fileFormat(params);
    this.#file = this.#open(params);
    await Promise.all([old.file.close(), old.syslog === this.#syslog ? undefined : old.syslog?.close()]);
  }

  /** Opens the path again; resolves when the old file has all its lines. */
  reopen(): Promise<void> {
    this.#batch.flush();
    return this.#file.reopen();
  }

  async close(): Promise<void> {
    this.#batch.flush();
    await Promise.all([this.#file.close(), this.#syslog?.close()]);
  }

  /** Whole lines, in the workers' form; while a reload takes effect some are still in the old form: they go to the file only. */
  #take(lines: Uint8Array): void {
    if (!this.#syslog) {
      this.#file.write(lines);
      return;
    }
    let text = "";
    for (const line of Buffer.from(lines).toString("utf8").split("\n")) {
      if (line === "") continue;
      const record = parseJsonLine(line);
      if (record) this.#syslog.send(record);
      text += record ? this.#fileFormat(record) : `${line}\n`;
    }
    this.#file.write(text);
  }

  #open(params: Parameters): LogFile {
    const { defaultLog, say, clock } = this.#options;
    const path = params.get("maillog_file") || defaultLog || defaultLogPath(params);
    const mode = Number.parseInt(params.get("maillog_file_permissions"), 8);
    return new LogFile({
      ...{ path, mode, clock },
      onError: (error) => say(`postern: log: ${error.message}`),
      onBack: (lost) => this.#warn(params, `${lost} log lines were lost because the log could not be written`),
    });
  }

  /** The workers have the new configuration already: what cannot be had now leaves the server as it is. */
  #reopenSyslog(params: Parameters): SyslogOutput | undefined {
    try {
      return this.#openSyslog(params);
    } catch (error) {
      this.#warn(params, `postern_syslog_tls_CAfile: ${(error as Error).message}; the syslog server before it stays`);
      return this.#syslog;
    }
  }

  #openSyslog(params: Parameters): SyslogOutput | undefined {
    return SyslogOutput.open(params, { clock: this.#options.clock, warn: (text) => this.#warn(params, text) });
  }

  #warn(params: Parameters, text: string): void {
    const { clock, pid } = this.#options;
    const tag = `${params.get("syslog_name")}/master`;
    new Log({ sink: this.sink, now: clock.now, tag, id: pid }).warning(text);
  }
}

/** Where the log of a server in the background is when maillog_file is empty. */
export function defaultLogPath(params: Parameters): string {
  const directory = params.get("data_directory");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, "maillog");
}

/** The form in which workers hand over their lines: records, where the master makes syslog messages of them. */
export function workerFormat(params: Parameters): LineFormat {
  return params.get("postern_syslog_server") ? lineFormat("json", params.get("myhostname")) : fileFormat(params);
}

function fileFormat(params: Parameters): LineFormat {
  return lineFormat(params.get("postern_log_format"), params.get("myhostname"));
}
