/** log/syslog-message.ts: a record as an RFC 5424 message, and its framing on a stream (RFC 6587 §3.4.1, RFC 5425 §4.3). */
import type { LogRecord, Severity } from "./log.ts";

/** Longer messages are cut: receivers need only take 2048 octets, and take 8 KiB in practice (RFC 5424 §6.1). */
const MAX_BYTES = 8192;

/** RFC 5424 §6.2.1, table 1. */
const FACILITY = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  security: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const;

/** Postfix's levels in syslog's: panic and fatal are LOG_CRIT (msg_syslog.c). */
const LEVEL: Readonly<Record<Severity, number>> = { info: 6, warning: 4, error: 3, fatal: 2, panic: 2 };

export interface SyslogHeader {
  readonly facility: keyof typeof FACILITY;
  /** HOSTNAME: the full name. */
  readonly hostname: string;
  /** sequenceId, so that the receiver sees what was lost; counts to 2^31-1 and starts again at 1 (§7.3.1). */
  readonly sequence: number;
  /** MSG instead of the record's text. */
  readonly message?: string | undefined;
}

/** One message without framing; at most MAX_BYTES, cut between characters. */
export function formatSyslogMessage(record: LogRecord, header: SyslogHeader): Buffer {
  const priority = FACILITY[header.facility] * 8 + LEVEL[record.severity];
  const time = new Date(record.at).toISOString();
  const severity = record.severity === "info" ? "" : `${record.severity}: `;
  const head = `<${priority}>1 ${time} ${word(header.hostname, 255)} ${word(record.tag, 48)} ${record.id} - `;
  const data = `[meta sequenceId="${header.sequence}"] `;
  return cut(Buffer.from(`${head}${data}${header.message ?? `${severity}${record.text}`}`, "utf8"));
}

/** `LENGTH SP MESSAGE`. */
export function frameSyslogMessage(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `, "latin1"), message]);
}

/** PRINTUSASCII of at most `limit` characters; `-` for nothing. */
function word(text: string, limit: number): string {
  return text.replace(/[^\x21-\x7e]/g, "?").slice(0, limit) || "-";
}

function cut(message: Buffer): Buffer {
  if (message.length <= MAX_BYTES) return message;
  let end = MAX_BYTES;
  while (end > 0 && ((message[end] ?? 0) & 0xc0) === 0x80) end--;
  return message.subarray(0, end);
}
