/** cleanup/check-action.ts: the right-hand side of a header_checks(5) table as a value. Reads text only; what an action does is
 *  content-verdict.ts. What is no action, or lacks its argument, keeps the line and is warned of in Postfix's words. */
import { splitDsn } from "../access/action.ts";

export type CheckAction =
  /** DUNNO, OK, and what cannot be read. */
  | { readonly kind: "keep"; readonly warning?: string }
  | { readonly kind: "ignore" }
  | {
      readonly kind: "reject";
      /** 4.x.x or 5.x.x */
      readonly dsn: string;
      readonly text: string;
      readonly warning?: string | undefined;
    }
  | { readonly kind: "warn" | "info" | "pass" | "discard" | "hold" | "strip"; readonly text: string }
  | { readonly kind: "filter" | "redirect" | "bcc"; readonly text: string }
  | { readonly kind: "prepend" | "replace"; readonly text: string };

export interface CheckContext {
  /** "header_checks", for warnings. */
  readonly map: string;
  readonly what: "header" | "body";
  /** At delivery only what concerns the line itself can be done; to fields that a Milter makes, a little more. */
  readonly scope?: "delivery" | "milter" | undefined;
}

const HEADER = /^[\x21-\x39\x3b-\x7e]+[ \t]*:/;

type Kinds = ReadonlySet<CheckAction["kind"]>;
const AT_DELIVERY: Kinds = new Set(["keep", "ignore", "strip", "warn", "info", "prepend", "replace"]);
const OF_MILTER: Kinds = new Set([...AT_DELIVERY, "reject", "filter", "discard", "hold", "redirect"]);
const SUPPORTED = { delivery: AT_DELIVERY, milter: OF_MILTER } as const;

/** Never fails. */
export function parseCheckAction(value: string, context: CheckContext): CheckAction {
  const action = readAction(value, context);
  const { scope } = context;
  if (action && (scope === undefined || SUPPORTED[scope].has(action.kind))) return action;
  const what = scope === undefined ? "unknown" : "unsupported";
  return { kind: "keep", warning: `${what} command in ${context.map} map: ${value}` };
}

/** undefined: no such action. */
function readAction(value: string, context: CheckContext): CheckAction | undefined {
  const [word = ""] = /^[^ \t]*/.exec(value) ?? [];
  const text = value.slice(word.length).trimStart();
  const keyword = word.toUpperCase();
  switch (keyword) {
    case "OK":
    case "DUNNO":
      return { kind: "keep" };
    case "IGNORE":
      return { kind: "ignore" };
    case "REJECT":
      return rejection(text);
    case "WARN":
    case "INFO":
    case "PASS":
    case "DISCARD":
    case "HOLD":
    case "STRIP":
      return { kind: keyword.toLowerCase() as "warn", text };
    case "FILTER":
    case "REDIRECT":
    case "BCC":
    case "PREPEND":
    case "REPLACE":
      // It is not looked at what an action that cannot be done lacks.
      if (context.scope && !SUPPORTED[context.scope].has(keyword.toLowerCase() as "keep")) return undefined;
      return withArgument(keyword, text, context);
    default:
      return undefined;
  }
}

/** A status that is no refusal is made a temporary one. */
function rejection(given: string): CheckAction {
  const { dsn = "5.7.1", text } = splitDsn(given);
  const reason = text === "" ? "message content rejected" : text;
  if (!dsn.startsWith("2")) return { kind: "reject", dsn, text: reason };
  const warning = `bad DSN action in ${given} -- need 4.x.x or 5.x.x`;
  return { kind: "reject", dsn: `4${dsn.slice(1)}`, text: reason, warning };
}

function withArgument(
  keyword: "FILTER" | "REDIRECT" | "BCC" | "PREPEND" | "REPLACE",
  text: string,
  context: CheckContext,
): CheckAction {
  const warning = misspelt(keyword, text, context);
  return warning === undefined ? { kind: keyword.toLowerCase() as "filter", text } : { kind: "keep", warning };
}

/** What the argument lacks. */
function misspelt(keyword: string, text: string, { what, map }: CheckContext): string | undefined {
  switch (keyword) {
    case "FILTER":
      if (text === "") return `missing FILTER command argument in ${map} map`;
      return text.includes(":") ? undefined : `bad FILTER command ${text} in ${map} -- need transport:destination`;
    case "REDIRECT":
      return isMailbox(text) ? undefined : `bad REDIRECT target "${text}" in ${map} map -- need user@domain`;
    case "BCC":
      return isMailbox(text) ? undefined : `bad BCC address "${text}" in ${map} map -- need user@domain`;
    default:
      if (text === "") return `${keyword} action without text in ${map} map`;
      return what === "body" || HEADER.test(text)
        ? undefined
        : `bad ${keyword} header text "${text}" in ${map} map -- need "headername: headervalue"`;
  }
}

/** Postfix asks for an "@" only; a blank or an empty half would be queued as an address that nobody can deliver to. */
function isMailbox(text: string): boolean {
  return /^[^\s@]\S*@\S+$/.test(text);
}
