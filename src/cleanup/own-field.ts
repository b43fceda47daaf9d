/** cleanup/own-field.ts: a header field that the server itself adds, as one of those that have come. */
import type { HeaderField } from "./header-block.ts";

/** `text`: `Name: value` in Unicode, with folding, without the final CRLF. */
export function ownField(text: string): HeaderField {
  return {
    name: text.slice(0, text.indexOf(":")).trim().toLowerCase(),
    text: /[^\x00-\x7f]/.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text,
  };
}
