/** proof/relay-problems.ts: what is wrong with a matrix: open relays, and submission that takes mail from strangers. Each
 *  names the path through the restrictions: `open relay: permit_mynetworks comes before reject_unauth_destination;
 *  mynetworks (main.cf:7) holds 0.0.0.0/0`. */
import type { Rule } from "../access/restriction.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Problem, SourceRef } from "../config/snapshot.ts";
import type { Lists, Outlook } from "./lists.ts";
import { type Step, stepsOf, type Unseen } from "./possible.ts";
import type { Cell } from "./prove.ts";
import type { RcptStage } from "./reachable.ts";

export interface Judged {
  readonly cells: readonly Cell[];
  readonly lists: Lists;
  readonly params: Parameters;
  /** The service's line in master.cf. */
  readonly at: SourceRef;
  readonly relaysAll: boolean;
  /** It is for the site's own users only (RFC 6409). */
  readonly submission: boolean;
}

/** Errors and warnings about strangers. With postern_allow_open_relay all are warnings. */
export function relayProblems(service: Judged): readonly Problem[] {
  const strangers = service.cells.filter(({ client }) => client === "stranger" || client === "strangerTls");
  const to = (...destinations: readonly string[]) =>
    strangers.filter((cell) => destinations.includes(cell.destination));
  const open = to("foreign").filter(({ verdict }) => verdict === "always");
  const found: Problem[] = [];
  if (open[0] !== undefined) found.push(openRelay(open[0], service));
  else found.push(...to("foreign").flatMap((cell) => doubts(cell, "can relay", service)));
  if (service.relaysAll && to("relay").some(({ verdict }) => verdict === "always")) {
    const text = "open relay: relay_domains matches every domain, so strangers can send mail anywhere";
    found.push({ severity: "error", at: service.params.source("relay_domains") ?? service.at, text });
  }
  if (open[0] === undefined) found.push(...namedDomains(to("named"), service));
  if (service.submission && open[0] === undefined) {
    const taken = to("local", "relay").find(({ verdict }) => verdict === "always");
    if (taken !== undefined) found.push(submissionOpen(taken, service));
    else if (found.length === 0) {
      found.push(...to("local", "relay").flatMap((cell) => doubts(cell, "can submit mail", service)));
    }
  }
  const once = [...new Map(found.map((problem) => [problem.text, problem])).values()];
  if (!service.params.get("postern_allow_open_relay")) return once;
  return once.map((problem) => ({ ...problem, severity: "warning", hint: "postern_allow_open_relay = yes allows it" }));
}

const SEE = "see: postern verify";

function openRelay(cell: Cell, service: Judged): Problem {
  const who = cell.client === "strangerTls" ? " for any client with TLS" : "";
  const { text, at } = reasonOf(cell, service);
  return { severity: "error", at, text: `open relay${who}: ${text}`, hint: SEE };
}

function submissionOpen(cell: Cell, service: Judged): Problem {
  const { text, at } = reasonOf(cell, service);
  return {
    severity: "error",
    at: at ?? service.at,
    text: `this submission service takes mail from strangers: ${text}`,
    hint: "end smtpd_relay_restrictions or smtpd_recipient_restrictions with permit_sasl_authenticated, reject",
  };
}

/** One problem for each thing that cannot be seen; none for tables that are vouched for. */
function doubts(cell: Cell, what: string, service: Judged): readonly Problem[] {
  if (cell.verdict !== "maybe") return [];
  const trusted = new Set(service.params.get("postern_trusted_relay_tables"));
  const isTrusted = ({ tables }: Unseen) => tables.length > 0 && tables.every((ref) => trusted.has(ref));
  if (cell.unseen.length === 0) {
    const text = `it is not proven that no stranger ${what}: there are too many keys and combinations to try them all`;
    return [{ severity: "warning", at: service.at, text }];
  }
  return cell.unseen
    .filter((unseen) => !isTrusted(unseen))
    .map((unseen): Problem => {
      const { text, at } = reasonOf(cell, service, unseen);
      const chosen = unseen.clientChooses ? ", under a key that the client chooses" : "";
      return {
        severity: unseen.clientChooses ? "error" : "warning",
        at,
        text: `whether strangers ${what} is up to ${unseen.what}${chosen}: ${text}`,
        hint:
          unseen.tables.length > 0 ? `postern_trusted_relay_tables = ${unseen.tables[0]} vouches for it` : undefined,
      };
    });
}

/** A domain that a table names is meant; but relay_domains is the place for it. */
function namedDomains(cells: readonly Cell[], service: Judged): readonly Problem[] {
  return cells
    .filter(({ verdict }) => verdict === "always")
    .map((cell) => {
      const domain = cell.candidate?.recipient.replace(/^.*@/, "") ?? "";
      const { text, at } = reasonOf(cell, service);
      const hint = "if that is meant, relay_domains is the place for it";
      return { severity: "warning", at, text: `strangers can relay to ${domain}: ${text}`, hint };
    });
}

interface Reason {
  readonly text: string;
  readonly at: SourceRef | undefined;
}

/** Lists in which a guard is looked for, the likeliest first. */
const LISTS: readonly RcptStage[] = ["relay", "recipient", "sender", "helo", "client"];
const GUARDS: ReadonlySet<string> = new Set([
  "reject_unauth_destination",
  "defer_unauth_destination",
  "reject",
  "defer",
]);

/** The step that lets him past a guard; or that there is none. */
function reasonOf(cell: Cell, service: Judged, unseen?: Unseen): Reason {
  const lists = cell.outlook === undefined ? [] : inOrder(cell.outlook, service.params);
  for (const { stage, possible } of lists) {
    const permit = stepsOf(possible.permit).at(-1);
    if (permit === undefined || (unseen !== undefined && permit.unseen?.what !== unseen.what)) continue;
    const guard = guardBehind(permit, service.lists[stage]);
    if (guard === undefined && unseen === undefined) continue;
    return { text: permitText(permit, guard), at: placeOf(permit, service) };
  }
  for (const { possible } of lists) {
    const warned = stepsOf(possible.next).find(({ says, word }) => says === "only warns" && GUARDS.has(word));
    if (warned === undefined) continue;
    const text = `warn_if_reject stands in front of ${warned.rule.text}, which only warns then`;
    return { text, at: service.params.source(warned.rule.parameter) };
  }
  return unguarded(service);
}

/** What somebody wrote comes before defaults. */
function inOrder({ lists }: Outlook, params: Parameters): Outlook["lists"] {
  const rank = (stage: RcptStage) =>
    LISTS.indexOf(stage) + (params.source(`smtpd_${stage}_restrictions`) === undefined ? LISTS.length : 0);
  return [...lists].sort((a, b) => rank(a.stage) - rank(b.stage));
}

/** Of the list; of what it refers to, where the list is a default. */
function placeOf({ rule, word }: Step, { params, at }: Judged): SourceRef {
  return (
    params.source(rule.parameter) ?? (word === "permit_mynetworks" ? params.source("mynetworks") : undefined) ?? at
  );
}

function permitText({ rule, why }: Step, guard: Rule | undefined): string {
  const before = guard === undefined ? `${rule.text} may permit` : `${rule.text} comes before ${guard.ref.text}`;
  return why === "" ? before : `${before}; ${why}`;
}

/** The first guard behind the rule, or behind the class in which it stands. */
function guardBehind(step: Step, rules: readonly Rule[]): Rule | undefined {
  const at = rules.findIndex((rule) => contains(rule, step, new Set()));
  // A list in a table: its place is that of the table's rule, by reference.
  const place = at >= 0 ? at : rules.findIndex(({ ref }) => ref.at === step.rule.at && step.why.includes(ref.text));
  return rules.slice(place + 1).find(({ word }) => GUARDS.has(word));
}

function contains(rule: Rule, step: Step, visited: Set<readonly Rule[]>): boolean {
  if (rule.ref === step.rule) return true;
  if (rule.rules === undefined || visited.has(rule.rules)) return false;
  visited.add(rule.rules);
  return rule.rules.some((inner) => contains(inner, step, visited));
}

function unguarded({ params, lists, at }: Judged): Reason {
  const names = ["smtpd_relay_restrictions", "smtpd_recipient_restrictions"] as const;
  const told = names.map((name, i) => {
    const rules = lists[i === 0 ? "relay" : "recipient"];
    const source = params.source(name);
    const where =
      source === undefined ? "" : ` (${source.file.slice(source.file.lastIndexOf("/") + 1)}:${source.line})`;
    return `${name}${where} ${emptyOrOpen(rules)}`;
  });
  return { text: told.join(", and "), at: params.source(names[0]) ?? params.source(names[1]) ?? at };
}

function emptyOrOpen(rules: readonly Rule[]): string {
  if (rules.length === 0) return "is empty";
  return rules.at(-1)?.word === "permit" ? "ends in permit" : "does not refuse them";
}
