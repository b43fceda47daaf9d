/** cli/sendmail-input.ts: the message on sendmail's standard input, as bytes: where it ends, what of its first lines is no part
 *  of it, and whom its header names. Chunks of any size give the same message. */

import { UnixLines } from "../base/unix-lines.ts";
import { fieldValue, HeaderScanner, parseFields } from "../cleanup/header-block.ts";
import type { Address } from "../mail/address.ts";
import { findAddresses } from "../mail/header-address.ts";

const LF = 10;
const CR = 13;
const DOT = 46;

/** Finds the line with only a dot that ends the message. */
export class DotEnd {
  /** `.` or `.\r` at the end of the last chunk, at the beginning of a line. */
  #held = Buffer.alloc(0);
  #lineStart = true;
  ended = false;

  /** What of the chunk, and of the one before, is message. */
  push(chunk: Buffer): Buffer {
    const all = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    for (let at = 0; at < all.length; ) {
      if (this.#lineStart && all[at] === DOT) {
        const end = endOfDotLine(all, at);
        if (end === "open") {
          this.#held = Buffer.from(all.subarray(at));
          return all.subarray(0, at);
        }
        if (end === "dot") {
          this.ended = true;
          return all.subarray(0, at);
        }
      }
      const lf = all.indexOf(LF, at);
      this.#lineStart = lf >= 0;
      at = lf < 0 ? all.length : lf + 1;
    }
    return all;
  }

  /** What is left at the end of the input: a dot without line end ends the message, too. */
  end(): Buffer {
    return this.#held.length === 1 ? Buffer.alloc(0) : this.#held;
  }
}

function endOfDotLine(bytes: Buffer, at: number): "dot" | "open" | "content" {
  const next = bytes[at + 1];
  if (next === undefined) return "open";
  if (next === LF) return "dot";
  if (next !== CR) return "content";
  const third = bytes[at + 2];
  if (third === undefined) return "open";
  return third === LF ? "dot" : "content";
}

/** Without the `From ` and `>From ` lines in front, which mailbox tools leave there. */
export function withoutMailboxLines(beginning: Buffer): Buffer {
  let rest = beginning;
  while (/^>?From /.test(rest.toString("latin1", 0, 6))) {
    const end = rest.indexOf(LF);
    rest = rest.subarray(end < 0 ? rest.length : end + 1);
  }
  return rest;
}

/** Index behind the empty line that ends the header, or of the end; undefined: it is not there yet. */
export function endOfHeader(beginning: Buffer): number | undefined {
  const first = /^\r?\n/.exec(beginning.toString("latin1", 0, 2))?.[0];
  if (first !== undefined) return first.length;
  for (let at = beginning.indexOf(LF); at >= 0; at = beginning.indexOf(LF, at + 1)) {
    if (beginning[at + 1] === LF) return at + 2;
    if (beginning[at + 1] === CR && beginning[at + 2] === LF) return at + 3;
  }
  return undefined;
}

const NAMES = new Set(["to", "cc", "bcc", "apparently-to"]);
const RESENT_NAMES = new Set(["resent-to", "resent-cc", "resent-bcc"]);

/** Whom the header names (sendmail -t): of a resent message, whom it is resent to. */
export function recipientsInHeader(header: Buffer, sizeLimit: number): readonly Address[] {
  const lines = new UnixLines();
  const crlf = Buffer.concat([...lines.push(header), ...lines.end()]);
  const end = new HeaderScanner().scan(crlf);
  const fields = parseFields(end.kind === "end" ? crlf.subarray(0, end.headerEnd) : crlf, sizeLimit);
  const resent = fields.filter(({ name }) => RESENT_NAMES.has(name));
  const chosen = resent.length > 0 ? resent : fields.filter(({ name }) => NAMES.has(name));
  return chosen.flatMap((field) => findAddresses(decode(fieldValue(field))).map(({ address }) => address));
}

/** Bytes as UTF-8, or as they are if they are none. */
function decode(latin1: string): string {
  if (!/[\x80-\xff]/.test(latin1)) return latin1;
  const text = Buffer.from(latin1, "latin1").toString("utf8");
  return text.includes("\ufffd") ? latin1 : text;
}
