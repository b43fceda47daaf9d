/** cli/replay-format.ts: what a replay of recent decisions found, at most 100 columns wide: groups that differ alike, each with
 *  what is said now and what would be said then, and a few of those concerned. */
import type { DecisionResult, RecordedDecision } from "../decisions/decision.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { Outcome, Replay, ReplayGroup } from "../master/replay.ts";
import { formatSentence, type Look, paint, wrap } from "./explain-format.ts";

export function formatReplay(replay: Replay, look: Look): string {
  const { total, same, groups, undecided, without, drifted } = replay;
  if (total === 0) return "Recent decisions\n  none are stored (postern_decision_log_limit)\n\n";
  const different = groups.reduce((sum, { count }) => sum + count, 0);
  const lines = [
    `  ${total} replayed: ${different} would come out differently, ${same} the same, ${undecided.count} undecided\n`,
    ...groups.map((group) => formatGroup(group, look)),
    ...unaskedLines(undecided.rules),
    ...serviceLines("the new configuration does not have", without.after),
    ...serviceLines("the configuration in use does not have", without.before),
  ];
  if (drifted > 0) {
    const text = `${drifted} were decided otherwise when they happened: tables, DNS, or this configuration have changed since`;
    lines.push(wrap(text, "    ", "  "));
  }
  return `Recent decisions\n${lines.join("")}\n`;
}

const COLOURS = { accepted: 32, rejected: 31, deferred: 33 } as const;

function formatGroup({ service, count, examples }: ReplayGroup, look: Look): string {
  const [first] = examples;
  if (first === undefined) return "";
  const { before, after } = first;
  const result = (outcome: Outcome) => [outcome.result, ...effectsOf(outcome)].join(", ");
  const head = wrap(`${count} at ${service}: ${result(before)} -> ${result(after)}`, " ".repeat(10), "  ");
  return [
    head.replace(/accepted|rejected|deferred/g, (word) => paint(word, COLOURS[word as DecisionResult], look)),
    wrap(formatSentence(before.act), " ".repeat(10), "    now   "),
    wrap(formatSentence(after.act), " ".repeat(10), "    then  "),
    ...examples.map(({ decision }, i) => wrap(describe(decision), " ".repeat(10), i === 0 ? "    e.g.  " : undefined)),
  ].join("");
}

function effectsOf({ result, effects }: Outcome): readonly string[] {
  return result === "accepted" ? effects : [];
}

function describe({ client, login, sender, recipient }: RecordedDecision): string {
  const who = login === undefined ? "" : ` ${login.username}`;
  return printableUtf8(`${client.name}[${client.address}]${who} from=<${sender}> to=<${recipient}>`);
}

function unaskedLines(rules: ReadonlyMap<string, number>): string[] {
  if (rules.size === 0) return [];
  const list = [...rules].map(([rule, count]) => `${rule} (${count})`).join(", ");
  return [wrap(`undecided, because nobody was asked for: ${list}; --ask asks`, "    ", "  ")];
}

function serviceLines(what: string, services: ReadonlyMap<string, number>): string[] {
  return [...services].map(([name, count]) => wrap(`${count} came to a service that ${what}: ${name}`, "    ", "  "));
}

/** The same for programs. */
export function replayJson(replay: Replay): unknown {
  const { groups, undecided, without, ...rest } = replay;
  const outcome = (one: Outcome) => ({
    result: one.result,
    effects: one.effects,
    reply: one.act.reply,
    rule: one.act.explanation?.by,
    explanation: formatSentence(one.act),
  });
  return {
    ...rest,
    groups: groups.map(({ service, count, examples }) => ({
      service,
      count,
      examples: examples.map(({ decision, before, after }) => ({
        decision,
        before: outcome(before),
        after: outcome(after),
      })),
    })),
    undecided: { count: undecided.count, rules: Object.fromEntries(undecided.rules) },
    without: { before: Object.fromEntries(without.before), after: Object.fromEntries(without.after) },
  };
}
