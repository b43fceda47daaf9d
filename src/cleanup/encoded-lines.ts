/** cleanup/encoded-lines.ts: the lines of a part that gets others (RFC 5322 §2.1.1, DAT-08; RFC 2045 §6.7, §6.8): what is not
 *  encoded leaves as quoted-printable; what is gets shorter lines, for there they mean nothing. */
import type { PartKind } from "./mime-structure.ts";
import { QuotedPrintable } from "./quoted-printable.ts";

/** Of encoded lines (RFC 2045 §6.7, §6.8). */
const ENCODED_LINE = 76;
const CRLF = Buffer.from("\r\n");
const SOFT_BREAK = Buffer.from("=\r\n");
const EQUALS = 0x3d;

/** Takes one line, or a piece of one, without CRLF. */
export type LineWriter = (bytes: Buffer, ends: boolean) => Buffer;

/** The content is as it is. */
export function isPlain({ encoding }: PartKind): boolean {
  return encoding === "7bit" || encoding === "8bit";
}

/** Other lines can be made of it. Composite types must not be encoded (RFC 2045 §6.4). */
export function isEncodable({ type, encoding }: PartKind): boolean {
  return type !== "multipart" && type !== "message" && encoding !== "binary";
}

export function lineWriterFor(kind: PartKind): LineWriter {
  if (isPlain(kind)) {
    const encoder = new QuotedPrintable();
    return (bytes, ends) => Buffer.from(encoder.encode(bytes, ends), "latin1");
  }
  return kind.encoding === "base64" ? base64Lines() : softBreaks();
}

function base64Lines(): LineWriter {
  let column = 0;
  return (bytes, ends) => {
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      if (column === ENCODED_LINE) {
        out.push(CRLF);
        column = 0;
      }
      const end = Math.min(bytes.length, at + ENCODED_LINE - column);
      out.push(bytes.subarray(at, end));
      column += end - at;
      at = end;
    }
    if (!ends) return Buffer.concat(out);
    column = 0;
    return Buffer.concat([...out, CRLF]);
  };
}

/** Of quoted-printable: none in front of the "=" that is a soft break itself. None comes inside `=C3`, which always finds room. */
function softBreaks(): LineWriter {
  let column = 0;
  return (bytes, ends) => {
    const out: Buffer[] = [];
    let start = 0;
    for (const [at, byte] of bytes.entries()) {
      const last = ends && at === bytes.length - 1;
      // Of what follows, "=C3" and the "=" of a break must find room.
      if (!last && column >= ENCODED_LINE - (byte === EQUALS ? 3 : 1)) {
        out.push(bytes.subarray(start, at), SOFT_BREAK);
        start = at;
        column = 0;
      }
      column++;
    }
    out.push(bytes.subarray(start));
    if (!ends) return Buffer.concat(out);
    column = 0;
    return Buffer.concat([...out, CRLF]);
  };
}
