/** master/mail-log.ts: the log as the master owns it: its own records and the workers' lines go to maillog_file, which
 *  follows a reload and is opened again after rotation. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { LineBatch } from "../log/line-batch.ts";
import { lineFormat } from "../log/line-format.ts";
import type { LogSink } from "../log/log.ts";
import { LogFile } from "../log/log-file.ts";

export interface MailLogOptions {
  /** Where the log goes when maillog_file is empty; undefined: data_directory/maillog. */
  readonly defaultLog: string | undefined;
  /** One line to the operator's terminal. */
  readonly say: (line: string) => void;
  readonly clock: Clock;
}

export class MailLog {
  readonly #options: MailLogOptions;
  readonly #batch: LineBatch;
  #file: LogFile;

  constructor(params: Parameters, options: MailLogOptions) {
    this.#options = options;
    this.#file = this.#open(params);
    if (params.get("maillog_file") === "" && this.#file.path !== "/dev/stdout") {
      options.say(`postern: the log is ${this.#file.path}; maillog_file names another`);
    }
    const writer = {
      write: (lines: string) => this.#file.write(lines),
      waitingBytes: () => this.#file.waitingBytes(),
    };
    this.#batch = new LineBatch(writer, workerFormat(params), options.clock);
  }

  /** Of the master's own records. */
  get sink(): LogSink {
    return this.#batch.sink;
  }

  /** Whole lines of a worker. */
  write(chunk: Uint8Array): void {
    this.#file.write(chunk);
  }

  /** After a reload: another file, mode or form. The file is opened again in any case, as it may have been moved away. */
  async configure(params: Parameters): Promise<void> {
    this.#batch.format = workerFormat(params);
    const old = this.#file;
    this.#file = this.#open(params);
    await old.close();
  }

  /** Opens the path again; resolves when the old file has all its lines. */
  reopen(): Promise<void> {
    this.#batch.flush();
    return this.#file.reopen();
  }

  close(): Promise<void> {
    this.#batch.flush();
    return this.#file.close();
  }

  #open(params: Parameters): LogFile {
    const { defaultLog, say } = this.#options;
    const path = params.get("maillog_file") || defaultLog || defaultLogPath(params);
    const mode = Number.parseInt(params.get("maillog_file_permissions"), 8);
    return new LogFile({ path, mode, onError: (error) => say(`postern: log: ${error.message}`) });
  }
}

/** Where the log of a server in the background is when maillog_file is empty. */
export function defaultLogPath(params: Parameters): string {
  const directory = params.get("data_directory");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, "maillog");
}

/** The form in which workers hand over their lines. */
export function workerFormat(params: Parameters) {
  return lineFormat(params.get("postern_log_format"), params.get("myhostname"));
}
