/** access/action.ts: the right-hand side of an access(5) table as a value (postfix.md §2.3). Reads text only; what an
 *  action does is apply-action.ts. The order of the tests is Postfix's: "550" alone is all digits and permits. */

export type Action =
  | { readonly kind: "dunno" | "permit" | "empty" | "tableInside" }
  /** `code` undefined: $access_map_reject_code or $access_map_defer_code. */
  | {
      readonly kind: "reject" | "defer" | "code";
      readonly code: number | undefined;
      readonly dsn: string | undefined;
      readonly text: string;
    }
  | { readonly kind: "deferIfPermit" | "deferIfReject"; readonly dsn: string | undefined; readonly text: string }
  | { readonly kind: "info" | "warn" | "hangup"; readonly text: string }
  | { readonly kind: "hold" | "discard"; readonly text: string }
  | { readonly kind: "filter" | "redirect" | "bcc" | "prepend"; readonly text: string }
  | { readonly kind: "list"; readonly text: string };

/** Reads one value. Never fails: what is no action is a restriction list. */
export function parseAction(value: string): Action {
  const trimmed = value.trim();
  if (/^[,\s]*$/.test(trimmed)) return { kind: "empty" };
  const keyword = keywordOf(trimmed);
  const text = trimmed.slice(keyword.length).trimStart();
  const byKeyword = keywordAction(keyword.toUpperCase(), text);
  if (byKeyword) return byKeyword;
  if (/^\d+$/.test(trimmed)) return { kind: "permit" };
  if (text !== "" && /^[45]\d\d$/.test(keyword)) return { kind: "code", code: Number(keyword), ...splitDsn(text) };
  if (/^(?:OK|RELAY)$/i.test(keyword)) return { kind: "permit" };
  if (trimmed.includes(":")) return { kind: "tableInside" };
  return { kind: "list", text: trimmed };
}

/** The first word of a value, as written. */
export function keywordOf(value: string): string {
  return /\S+/.exec(value)?.[0] ?? "";
}

function keywordAction(keyword: string, text: string): Action | undefined {
  switch (keyword) {
    case "DUNNO":
      return { kind: "dunno" };
    case "REJECT":
      return { kind: "reject", code: undefined, ...splitDsn(text) };
    case "DEFER":
      return { kind: "defer", code: undefined, ...splitDsn(text) };
    case "DEFER_IF_PERMIT":
      return { kind: "deferIfPermit", ...splitDsn(text) };
    case "DEFER_IF_REJECT":
      return { kind: "deferIfReject", ...splitDsn(text) };
    default:
      return textAction(keyword, text);
  }
}

/** Actions whose text has no enhanced status. */
function textAction(keyword: string, text: string): Action | undefined {
  switch (keyword) {
    case "INFO":
    case "WARN":
    case "HANGUP":
    case "HOLD":
    case "DISCARD":
    case "FILTER":
    case "REDIRECT":
    case "BCC":
    case "PREPEND":
      return { kind: keyword.toLowerCase() as "info", text };
    default:
      return undefined;
  }
}

/** `[x.y.z] text`: dsn_split(3postfix). Also the form of an error transport's next hop. */
export function splitDsn(text: string): { readonly dsn: string | undefined; readonly text: string } {
  const found = /^([245]\.\d{1,3}\.\d{1,3})(?:\s+([\s\S]*))?$/.exec(text);
  return found ? { dsn: found[1], text: found[2] ?? "" } : { dsn: undefined, text };
}
