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
