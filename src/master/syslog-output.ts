/** master/syslog-output.ts: records as messages to postern_syslog_server. What cannot be sent is lost and counted, and the
 *  count is logged as soon as messages flow again. */
import { readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { formatJsonLine } from "../log/json-line.ts";
import type { LogRecord } from "../log/log.ts";
import { formatSyslogMessage, frameSyslogMessage } from "../log/syslog-message.ts";
import { SyslogLink } from "../net/syslog-link.ts";

/** RFC 5424 §7.3.1. */
const LAST_SEQUENCE = 2 ** 31 - 1;

export interface SyslogOutputOptions {
  readonly clock: Clock;
  /** A warning about the log itself, for all its destinations. */
  readonly warn: (text: string) => void;
}

type MessageMaker = (record: LogRecord, sequence: number) => Buffer;

export class SyslogOutput {
  readonly #link: SyslogLink;
  readonly #warn: (text: string) => void;
  readonly #toMessage: MessageMaker;
  #sequence = 0;
  #lost = 0;

  private constructor(link: SyslogLink, options: SyslogOutputOptions, toMessage: MessageMaker) {
    this.#link = link;
    this.#warn = options.warn;
    this.#toMessage = toMessage;
  }

  /** undefined: no server is set. Throws where the CA file cannot be read. */
  static open(params: Parameters, options: SyslogOutputOptions): SyslogOutput | undefined {
    const server = params.get("postern_syslog_server");
    if (!server) return undefined;
    const caFile = params.get("postern_syslog_tls_CAfile");
    const authorities = server.transport === "tls" && caFile ? readFileSync(caFile, "latin1") : undefined;
    const name = `${server.transport}:${server.host}:${server.port}`;
    const onState = (why: string | undefined) =>
      options.warn(why === undefined ? `syslog server ${name} is back` : `syslog server ${name} is away: ${why}`);
    const link = new SyslogLink({ server, authorities, clock: options.clock, onState });
    return new SyslogOutput(link, options, messageMaker(params, server.transport !== "udp"));
  }

  send(record: LogRecord): void {
    this.#sequence = this.#sequence === LAST_SEQUENCE ? 1 : this.#sequence + 1;
    if (!this.#link.send(this.#toMessage(record, this.#sequence))) {
      this.#lost++;
      return;
    }
    if (this.#lost === 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#warn(`${lost} log lines were lost because the syslog server was away or too slow`);
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}

function messageMaker(params: Parameters, stream: boolean): MessageMaker {
  const facility = params.get("syslog_facility");
  const hostname = params.get("myhostname");
  const json = params.get("postern_log_format") === "json";
  const host = hostname.split(".")[0] ?? hostname;
  return (record, sequence) => {
    const message = json ? formatJsonLine(record, host).trimEnd() : undefined;
    const made = formatSyslogMessage(record, { facility, hostname, sequence, message });
    return stream ? frameSyslogMessage(made) : made;
  };
}
