/** mail/printable.ts: makes remote text safe for logs, headers, DSNs and policy requests (design: every remote string). */

const UNPRINTABLE_ASCII = /[^\x20-\x7e]/g;
const UNPRINTABLE_UTF8 = /[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]/gu;

/** Replaces every byte that is not printable ASCII by `?`, as Postfix's printable() does. */
export function printableAscii(text: string): string {
  return text.replace(UNPRINTABLE_ASCII, "?");
}

/** As printableAscii(), but lets valid non-control Unicode through (SMTPUTF8 mail). */
export function printableUtf8(text: string): string {
  return text.replace(UNPRINTABLE_UTF8, "?");
}

const ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "\\": "\\\\",
    "\x07": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
  }),
);

/** Latin1 text with everything but printable ASCII written as in C, `\r` or `\303`, as Postfix's escape() does. */
export function escapeControls(latin1: string): string {
  return latin1.replace(
    /[^\x20-\x5b\x5d-\x7e]/g,
    (c) => ESCAPES.get(c) ?? `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}
