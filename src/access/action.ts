/** access/action.ts: the right-hand side of an access(5) table as a value (postfix.md §2.3). Reads text only; what an
 *  action does is apply-action.ts. The order of the tests is Postfix's: "550" alone is all digits and permits. */

export type Action =
  | { readonly kind: "dunno" | "permit" | "empty" | "tableInside" }
  /** `code` undefined: $access_map_reject_code or $access_map_defer_code. */
  | {
      readonly kind: "reject" | "defer" | "code" | "hangup";
      readonly code: number | undefined;
      readonly dsn: string | undefined;
      readonly text: string;
    }
  | { readonly kind: "deferIfPermit" | "deferIfReject"; readonly dsn: string | undefined; readonly text: string }
  | { readonly kind: "info" | "warn"; readonly text: string }
  | { readonly kind: "hold" | "discard"; readonly text: string }
  | { readonly kind: "filter" | "redirect" | "bcc" | "prepend"; readonly text: string }
  | { readonly kind: "list"; readonly text: string };

/** Reads one value. Never fails: what is no action is a restriction list. */
export function parseAction(value: string): Action {
  const trimmed = value.trim();
  if (trimmed === "") return { kind: "empty" };
  const [, keyword = "", text = ""] = /^(\S+)\s*([\s\S]*)$/.exec(trimmed) ?? [];
  const byKeyword = keywordAction(keyword.toUpperCase(), text);
  if (byKeyword) return byKeyword;
  if (/^\d+$/.test(trimmed)) return { kind: "permit" };
  if (/^[45]\d\d$/.test(keyword)) return { kind: "code", code: Number(keyword), ...splitDsn(text) };
  if (/^(?:OK|RELAY)$/i.test(keyword)) return { kind: "permit" };
  if (trimmed.includes(":")) return { kind: "tableInside" };
  return { kind: "list", text: trimmed };
}

function keywordAction(keyword: string, text: string): Action | undefined {
  switch (keyword) {
    case "DUNNO":
      return { kind: "dunno" };
    case "REJECT":
      return { kind: "reject", code: undefined, ...splitDsn(text) };
    case "DEFER":
      return { kind: "defer", code: undefined, ...splitDsn(text) };
    case "HANGUP":
      return { kind: "hangup", code: undefined, ...splitDsn(text) };
    case "DEFER_IF_PERMIT":
      return { kind: "deferIfPermit", ...splitDsn(text) };
    case "DEFER_IF_REJECT":
      return { kind: "deferIfReject", ...splitDsn(text) };
    default:
      return effectAction(keyword, text);
  }
}

function effectAction(keyword: string, text: string): Action | undefined {
  switch (keyword) {
    case "INFO":
    case "WARN":
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

/** `[x.y.z] text`. */
function splitDsn(text: string): { readonly dsn: string | undefined; readonly text: string } {
  const found = /^([245]\.\d{1,3}\.\d{1,3})(?:\s+([\s\S]*))?$/.exec(text);
  return found ? { dsn: found[1], text: found[2] ?? "" } : { dsn: undefined, text };
}
