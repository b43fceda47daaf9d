/** cli/explain-format.ts: explanations as a person would tell them, at most 100 columns wide. Pure text; colour only repeats
 *  what a word already says. */
import type { Effect, Lookup, RuleRef, StepResult, TraceStep } from "../access/access.ts";
import { formatLookup } from "../access/trace.ts";
import type { Explanation } from "../smtpd/explanation.ts";
import type { Act } from "../smtpd/rehearsal.ts";
import { decidingStep, reasonFor } from "./explain-reason.ts";

const WIDTH = 100;

export interface Look {
  readonly colours: boolean;
}

const RESULTS: Readonly<Record<StepResult, string>> = {
  dunno: "goes on",
  permit: "PERMIT",
  reject: "REJECT",
  defer: "DEFER",
  deferIfPermit: "DEFER if nothing refuses",
  deferIfReject: "a refusal becomes DEFER",
  run: "runs",
  warnNext: "goes on",
  warned: "warns",
  notAsked: "not asked",
};

const COLOURS: Partial<Readonly<Record<StepResult, number>>> = {
  permit: 32,
  reject: 31,
  defer: 33,
  deferIfPermit: 33,
  notAsked: 36,
};

/** Who the client is and what it wants. */
export function formatWho(e: Explanation): string {
  const { client, login, tls } = e;
  const reverse = client.name === "unknown" && client.reverseName !== "unknown" ? ` (PTR ${client.reverseName})` : "";
  const parts = [
    `client ${client.name}[${client.address}]${reverse}`,
    ...(e.helo === undefined ? [] : [`HELO ${e.helo}`]),
    tls === undefined ? "clear text" : tls.protocol,
    ...(tls?.certificate === undefined ? [] : [`certificate ${tls.certificate}`]),
    login === undefined ? "not logged in" : `logged in as ${login.username} (${login.method})`,
  ];
  const addresses = [
    ...(e.sender === undefined ? [] : [`from=<${e.sender}>`]),
    ...(e.recipient === undefined ? [] : [`to=<${e.recipient}>`]),
    ...(e.recipients === 0 ? [] : [`recipients=${e.recipients}`]),
    ...(e.sizeBytes === undefined ? [] : [`size=${e.sizeBytes}`]),
  ];
  const lines = [wrap(parts.join(", "), "  ")];
  if (addresses.length > 0) lines.push(wrap(addresses.join(" "), "  "));
  return lines.join("");
}

/** The lists with their restrictions, and what each looked up. */
export function formatSteps(steps: readonly TraceStep[], look: Look): string {
  const at = Math.max(0, ...steps.map(({ rule }) => rule.at.length));
  let list = "";
  let text = "";
  for (const step of steps) {
    const name = step.depth > 0 && list !== "" ? list : step.rule.parameter;
    if (name !== list) text += `\n${name}\n`;
    list = name;
    text += formatStep(step, at, look);
  }
  return text;
}

const RESULT_WIDTH = 9;

function formatStep({ rule, result, depth, lookups }: TraceStep, at: number, look: Look): string {
  const nested = "  ".repeat(Math.min(depth, 8));
  const words = RESULTS[result];
  const isShort = words.length <= RESULT_WIDTH;
  const shown = isShort ? words.padEnd(RESULT_WIDTH) : " ".repeat(RESULT_WIDTH);
  const begin = `  ${rule.at.padEnd(at)}  ${shown} ${nested}`;
  const indent = " ".repeat(begin.length + 2);
  const line = wrap(isShort ? rule.text : `${rule.text} (${words})`, indent, begin);
  const coloured = line.replace(words, paint(words, COLOURS[result], look));
  return (
    coloured +
    tellLookups(rule, lookups)
      .map((text) => wrap(text, `${indent}  `, indent))
      .join("")
  );
}

/** Keys that one table does not have stand together, and the table of the restriction itself is not named again. */
function tellLookups({ text }: RuleRef, lookups: readonly Lookup[]): readonly string[] {
  const told: string[] = [];
  let keys: string[] = [];
  for (const [i, lookup] of lookups.entries()) {
    const { source, key, result, value } = lookup;
    const isTable = source.includes(":");
    const next = lookups[i + 1];
    if (isTable && result === "not found") keys.push(`"${key}"`);
    if (isTable && result === "not found" && next?.source === source && next.result === result) continue;
    const named = text.endsWith(` ${source}`) ? "" : `${source} `;
    if (keys.length > 0) told.push(`${named}${keys.join(", ")} -> not found`);
    else if (isTable && result === "found" && named === "") told.push(`"${key}" -> "${value}"`);
    else told.push(formatLookup(lookup));
    keys = [];
  }
  return told;
}

/** The reply, then what the verdict does to the message and what is logged beside it. */
export function formatAnswer(reply: readonly string[], e: Explanation | undefined): string {
  const lines = reply.length === 0 ? ["(the connection is closed without a reply)"] : reply;
  const rows: (readonly [string, string])[] = lines.map((line, i) => [i === 0 ? "reply" : "", line]);
  for (const effect of e?.effects ?? []) rows.push(["effect", formatEffect(effect)]);
  for (const { action, text } of e?.notices ?? []) rows.push(["logged", `${action}: ${text}`]);
  return rows.map(([name, text]) => wrap(text, " ".repeat(10), `${name.padEnd(8)}  `)).join("");
}

function formatEffect(effect: Effect): string {
  return `${effect.kind.toUpperCase()} ${"value" in effect ? effect.value : effect.text}`.trimEnd();
}

/** One sentence that says what happened and why. */
export function formatSentence({ reply, explanation: e, line }: Omit<Act, "line"> & { readonly line: string }): string {
  const [first = ""] = reply;
  const verb =
    reply.length === 0
      ? "Hung up"
      : first.startsWith("5")
        ? "Refused"
        : first.startsWith("4")
          ? "Deferred"
          : "Accepted";
  const where = e?.command ?? (line.split(" ")[0] ?? line).toUpperCase();
  const rule = e?.by === undefined ? undefined : `${e.by.text} (${placeOf(e.by)})`;
  if (verb === "Accepted") return accepted(where, e, rule);
  if (rule === undefined || e === undefined)
    return `${verb} at ${where} by the server itself: no restriction was asked.`;
  const reason = reasonFor(e);
  const saved = decidingStep(e)?.result === "deferIfPermit" ? ", and nothing else refused" : "";
  return `${verb} at ${where} because ${rule}${reason === undefined ? " says so" : `: ${reason}`}${saved}.`;
}

function placeOf({ at, parameter, text }: RuleRef): string {
  return at === "default" && parameter !== text ? `default of ${parameter}` : at;
}

function accepted(where: string, e: Explanation | undefined, rule: string | undefined): string {
  if (e === undefined) return `Accepted at ${where}: no restriction was asked.`;
  if (e.steps.length === 0) {
    const always = e.recipient?.toLowerCase() === "postmaster" ? ": <postmaster> is always reachable" : "";
    return `Accepted at ${where}: no restriction ran${always}.`;
  }
  if (rule === undefined) return `Accepted at ${where}: no restriction refused.`;
  const reason = reasonFor(e);
  return `Accepted at ${where} because of ${rule}${reason === undefined ? "" : `: ${reason}`}.`;
}

/** Breaks at blanks, within a word only where it is longer than the line. `first` begins the first line. */
export function wrap(text: string, indent: string, first = indent): string {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(" ")) {
    let rest = word;
    if (!isEmpty && line.length + 1 + rest.length > WIDTH) {
      lines.push(line);
      line = indent;
      isEmpty = true;
    }
    if (!isEmpty) line += " ";
    for (; line.length + rest.length > WIDTH; line = indent) {
      const room = Math.max(1, WIDTH - line.length);
      lines.push(line + rest.slice(0, room));
      rest = rest.slice(room);
    }
    line += rest;
    isEmpty = false;
  }
  return `${[...lines, line].map((l) => l.trimEnd()).join("\n")}\n`;
}

/** ANSI colour, nothing elsewhere. */
export function paint(text: string, colour: number | undefined, { colours }: Look): string {
  return colours && colour !== undefined ? `\x1b[1;${colour}m${text}\x1b[0m` : text;
}
