/** authentication/results-field.ts: the Authentication-Results field (RFC 8601): ours, and which of those that came claim to be ours. */
import type { CameField } from "../mail/message-authentication.ts";

/** Columns of the folded field. */
const WIDTH = 78;

/** `results`: methodspecs with their properties, one line each. */
export function formatResults(serviceId: string, results: readonly string[]): string {
  const parts = results.length === 0 ? ["none"] : results;
  return `Authentication-Results: ${quoted(serviceId)};\r\n\t${parts.map(folded).join(";\r\n\t")}`;
}

/** A token as it is, anything else as quoted-string. */
export function quoted(value: string): string {
  return /^[A-Za-z0-9!#$%&'*+.^_`{|}~-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}

function folded(result: string): string {
  let text = "";
  let column = 8;
  for (const word of result.split(" ")) {
    if (text !== "" && column + 1 + word.length > WIDTH) {
      text += `\r\n\t ${word}`;
      column = 9 + word.length;
    } else {
      text += text === "" ? word : ` ${word}`;
      column += 1 + word.length;
    }
  }
  return text;
}

/** Whether the field says that we wrote it, or says nothing that can be read. */
export function claimsToBeOurs(field: CameField, serviceId: string): boolean {
  if (field.name !== "authentication-results") return false;
  const id = serviceIdOf(field.text.slice(field.text.indexOf(":") + 1));
  return id === undefined || id.toLowerCase() === serviceId.toLowerCase();
}

/** The authserv-id of a field's value; undefined: none can be read. */
function serviceIdOf(value: string): string | undefined {
  const text = value.slice(skipComments(value));
  const token = /^[^\s;()"<>@,:\\/[\]?=\x00-\x20\x7f]+/.exec(text)?.[0];
  if (token !== undefined) return token;
  const inside = /^"((?:[^"\\]|\\.)*)"/s.exec(text)?.[1];
  return inside?.replace(/\r\n(?=[ \t])/g, "").replace(/\\(.)/gs, "$1");
}

/** Where comments and white space end (RFC 5322 §3.2.2); an open comment has no end. */
function skipComments(text: string): number {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (c === "(") depth++;
    else if (depth > 0 && c === ")") depth--;
    else if (depth > 0 && c === "\\") i++;
    else if (depth === 0 && !/[ \t\r\n]/.test(c)) return i;
  }
  return text.length;
}
