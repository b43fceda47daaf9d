/** access/validate.ts: what must hold of the lists before a service may start: somebody has to say no to strangers who want
 *  to relay, and classes must not contain themselves (postfix.md §2.2). Not the proof: that is proof/. */
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import type { Stage } from "./access.ts";
import type { Rule } from "./restriction.ts";

const GUARDS: ReadonlySet<string> = new Set([
  "reject_unauth_destination",
  "defer_unauth_destination",
  "reject",
  "defer",
  "defer_if_permit",
]);

/** Errors in the compiled lists as a whole. */
export function checkLists(lists: Readonly<Record<Stage, readonly Rule[]>>, params: Parameters): readonly Problem[] {
  const problems: Problem[] = [];
  if (!isGuarded(lists.relay) && !isGuarded(lists.recipient)) {
    problems.push({
      severity: "error",
      at: params.source("smtpd_recipient_restrictions") ?? params.source("smtpd_relay_restrictions"),
      text:
        "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: " +
        "reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or check_relay_domains",
      hint: "end smtpd_relay_restrictions with reject_unauth_destination",
    });
  }
  for (const name of recursiveClasses(lists)) {
    const text = `restriction class \`${name}' contains itself`;
    problems.push({ severity: "error", at: params.source(name), text });
  }
  return problems;
}

type Guard = "guarded" | "open" | "ended";

/** True if a guard is reached: not behind `permit`, not right behind `warn_if_reject`; classes are searched too. */
function isGuarded(rules: readonly Rule[]): boolean {
  return findGuard(rules, new Map()) === "guarded";
}

/** `known` holds each class once: an unfinished one (it contains itself) counts as open, and nothing is searched twice. */
function findGuard(rules: readonly Rule[], known: Map<readonly Rule[], Guard>): Guard {
  const before = known.get(rules);
  if (before !== undefined) return before;
  known.set(rules, "open");
  const found = searchGuard(rules, known);
  known.set(rules, found);
  return found;
}

function searchGuard(rules: readonly Rule[], known: Map<readonly Rule[], Guard>): Guard {
  let warnOnly = false;
  for (const rule of rules) {
    const skipped = warnOnly;
    warnOnly = rule.word === "warn_if_reject";
    if (rule.word === "permit") return "ended";
    if (skipped) continue;
    if (GUARDS.has(rule.word)) return "guarded";
    const nested: Guard = rule.rules ? findGuard(rule.rules, known) : "open";
    if (nested !== "open") return nested;
  }
  return "open";
}

/** Names of the classes that are reached from themselves, each once. */
function recursiveClasses(lists: Readonly<Record<Stage, readonly Rule[]>>): ReadonlySet<string> {
  const names = new Set<string>();
  const done = new Set<readonly Rule[]>();
  const visit = (rules: readonly Rule[], path: readonly (readonly Rule[])[]): void => {
    if (done.has(rules)) return;
    for (const rule of rules) {
      if (!rule.rules) continue;
      if (path.includes(rule.rules) || rule.rules === rules) names.add(rule.argument ?? rule.ref.text);
      else visit(rule.rules, [...path, rules]);
    }
    done.add(rules);
  };
  for (const rules of Object.values(lists)) visit(rules, []);
  return names;
}
