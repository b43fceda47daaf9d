/** mail/reply.ts: an SMTP reply as a value (RFC 5321 §4.2, RFC 2034 enhanced status). Knows no socket. */

/** One reply. `lines` holds at least one line, without CR, LF, code or enhanced status. */
export interface Reply {
  readonly code: number;
  /** Enhanced status "class.subject.detail"; undefined for the replies that have none (greeting, HELO, EHLO, 3xx). */
  readonly dsn: string | undefined;
  readonly lines: readonly string[];
}

/** A one-line reply. Text from outside must have been made printable first (mail/printable.ts). */
export function reply(code: number, dsn: string | undefined, text: string): Reply {
  return { code, dsn, lines: [text] };
}

/** Wire form, CRLF included: `250-a CRLF 250 b CRLF`; the enhanced status stands on every line (RFC 2034 §4). */
export function formatReply(r: Reply): string {
  const status = r.dsn === undefined ? "" : `${r.dsn} `;
  const last = r.lines.length - 1;
  if (last === 0) return `${r.code} ${status}${r.lines[0]}\r\n`;
  return r.lines.map((line, i) => `${r.code}${i === last ? " " : "-"}${status}${line}\r\n`).join("");
}

/** One line for logs and bounces: `250 2.1.0 Ok`; further lines are joined by a blank, as Postfix does. */
export function replyText(r: Reply): string {
  return `${r.code} ${r.dsn === undefined ? "" : `${r.dsn} `}${r.lines.join(" ")}`;
}

/** True for 4xx and 5xx. */
export function isRefusal(r: Reply): boolean {
  return r.code >= 400;
}
