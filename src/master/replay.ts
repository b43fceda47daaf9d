/** master/replay.ts: which of the last real decisions would come out differently under another configuration, for
 *  `postern diff --replay`. Both configurations decide again, by the server's own code (rehearse.ts), so that what has changed
 *  since in tables is no difference. Each recipient is played as the only one of its message. */
import type { Effect } from "../access/access.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import type { DecisionResult, RecordedDecision } from "../decisions/decision.ts";
import { type Act, isRefused } from "../smtpd/rehearsal.ts";
import { explainable, type ImaginedSession, openRehearsal, type Rehearsal, type Surroundings } from "./rehearse.ts";

export interface Outcome {
  /** As the client is told. */
  readonly result: DecisionResult;
  /** The same before soft_bounce, as it is recorded. */
  readonly decided: DecisionResult;
  /** "hold", "filter …", sorted. */
  readonly effects: readonly string[];
  /** Restrictions that would have had to ask somebody. */
  readonly unasked: readonly string[];
  /** The answer to the recipient, or the refusal before it. */
  readonly act: Act;
}

export interface Example {
  readonly decision: RecordedDecision;
  readonly before: Outcome;
  readonly after: Outcome;
}

/** Decisions that differ alike: the same service, results and rules. */
export interface ReplayGroup {
  readonly service: string;
  readonly count: number;
  /** The first ones. */
  readonly examples: readonly Example[];
}

export interface Replay {
  readonly total: number;
  /** Come out as now; the rest differs, is undecided, or came to a service that is not in both. */
  readonly same: number;
  /** The most frequent first. */
  readonly groups: readonly ReplayGroup[];
  /** How many hang on what was not asked, by restriction. */
  readonly undecided: { readonly count: number; readonly rules: ReadonlyMap<string, number> };
  /** Decisions of services that the one or the other configuration does not have, by name. */
  readonly without: { readonly before: ReadonlyMap<string, number>; readonly after: ReadonlyMap<string, number> };
  /** The configuration in use would now decide these otherwise than it did. */
  readonly drifted: number;
}

export interface ReplayInput {
  readonly decisions: readonly RecordedDecision[];
  readonly before: ConfigSnapshot;
  readonly after: ConfigSnapshot;
  /** The same service in both; names may differ. */
  readonly pairs: readonly { readonly before: ServiceEntry; readonly after: ServiceEntry }[];
  /** Whether name services and policy servers are asked. */
  readonly ask: boolean;
  readonly surroundings: Surroundings;
}

const MAX_EXAMPLES = 3;

/** Throws ParameterError for a configuration that no server would start with. */
export async function replayDecisions(input: ReplayInput): Promise<Replay> {
  const tally = new Tally(input.decisions.length);
  const [before, after] = [new Stage(input, input.before), new Stage(input, input.after)];
  const renamed = new Map(input.pairs.map((pair) => [pair.before.name, pair.after.name]));
  try {
    for (const decision of input.decisions) {
      const old = await before.outcome(decision, decision.service);
      const now = await after.outcome(decision, renamed.get(decision.service) ?? "");
      if (old && old.decided !== decision.result) tally.drifted++;
      tally.add(decision, old, now);
    }
  } finally {
    await before.close();
    await after.close();
  }
  return tally.replay();
}

/** One configuration; its services are wired when the first decision needs them. */
class Stage {
  readonly #input: ReplayInput;
  readonly #services: ReadonlyMap<string, ServiceEntry>;
  readonly #rehearsals = new Map<string, Rehearsal>();
  /** Clients repeat themselves: the same question has the same answer. Bounded by the number of decisions. */
  readonly #known = new Map<string, Outcome>();
  readonly #snapshot: ConfigSnapshot;

  constructor(input: ReplayInput, snapshot: ConfigSnapshot) {
    this.#input = input;
    this.#snapshot = snapshot;
    this.#services = new Map(explainable(snapshot).map((service) => [service.name, service]));
  }

  /** undefined: there is no such service. */
  async outcome(decision: RecordedDecision, name: string): Promise<Outcome | undefined> {
    const service = this.#services.get(name);
    if (service === undefined) return undefined;
    const { at, result, code, effects, rule, ...question } = decision;
    const key = JSON.stringify(question);
    const known = this.#known.get(key);
    if (known) return known;
    const { ask } = this.#input;
    const imagined = imagine(decision, service, ask);
    const rehearsal = this.#rehearsals.get(name) ?? openRehearsal(this.#snapshot, imagined, this.#input.surroundings);
    this.#rehearsals.set(name, rehearsal);
    const outcome = outcomeOf((await rehearsal.play(imagined)).acts);
    this.#known.set(key, outcome);
    return outcome;
  }

  async close(): Promise<void> {
    for (const rehearsal of this.#rehearsals.values()) await rehearsal.close();
  }
}

function imagine(decision: RecordedDecision, service: ServiceEntry, ask: boolean): ImaginedSession {
  const { client, helo, tls, login, sender, recipient, size } = decision;
  return {
    service,
    stage: "rcpt",
    client: client.address,
    endpoint: { ...client, port: 0 },
    name: undefined,
    reverseName: undefined,
    helo,
    ungreeted: helo === undefined,
    tls: tls !== undefined,
    certificate: tls?.certificate,
    login,
    sender,
    recipients: [recipient],
    sizeBytes: size,
    askDns: ask,
    askPolicy: ask,
  };
}

function outcomeOf(acts: readonly Act[]): Outcome {
  const act = acts.at(-1);
  if (act === undefined) throw new Error("A rehearsal has at least the greeting");
  const explanations = acts.flatMap(({ explanation }) => explanation ?? []);
  const steps = explanations.flatMap(({ steps }) => steps);
  const unasked = steps.filter(
    ({ result, lookups }) => result === "notAsked" || lookups.some((lookup) => lookup.result === "not asked"),
  );
  const result = !isRefused(act) ? "accepted" : act.reply[0]?.startsWith("4") ? "deferred" : "rejected";
  const decision = act.explanation?.decision;
  return {
    result,
    decided: decision === "reject" ? "rejected" : decision === "defer" ? "deferred" : result,
    effects: explanations.flatMap(({ effects }) => effects.map(effectText)).sort(),
    unasked: [...new Set(unasked.map(({ rule }) => rule.text))],
    act,
  };
}

function effectText(effect: Effect): string {
  return "value" in effect ? `${effect.kind} ${effect.value}` : effect.kind;
}

class Tally {
  readonly #total: number;
  drifted = 0;
  #same = 0;
  #undecided = 0;
  readonly #unasked = new Map<string, number>();
  readonly #without = { before: new Map<string, number>(), after: new Map<string, number>() };
  readonly #groups = new Map<string, { service: string; count: number; examples: Example[] }>();

  constructor(total: number) {
    this.#total = total;
  }

  add(decision: RecordedDecision, before: Outcome | undefined, after: Outcome | undefined): void {
    if (!before || !after) {
      count(before ? this.#without.after : this.#without.before, decision.service);
      return;
    }
    const isSame = meaningOf(before) === meaningOf(after);
    const unasked = new Set([...before.unasked, ...after.unasked]);
    // What both would have asked alike, they would have been told alike.
    if (unasked.size > 0 && !(isSame && before.unasked.join() === after.unasked.join())) {
      this.#undecided++;
      for (const rule of unasked) count(this.#unasked, rule);
    } else if (isSame) this.#same++;
    else this.#differ({ decision, before, after });
  }

  #differ(example: Example): void {
    const { decision, before, after } = example;
    const { service } = decision;
    const key = [service, meaningOf(before), ruleOf(before), meaningOf(after), ruleOf(after)].join("\n");
    const group = this.#groups.get(key) ?? { service, count: 0, examples: [] };
    this.#groups.set(key, group);
    group.count++;
    if (group.examples.length < MAX_EXAMPLES) group.examples.push(example);
  }

  replay(): Replay {
    return {
      total: this.#total,
      same: this.#same,
      groups: [...this.#groups.values()].sort((a, b) => b.count - a.count),
      undecided: { count: this.#undecided, rules: this.#unasked },
      without: this.#without,
      drifted: this.drifted,
    };
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Equal when a client and a message fare alike; which rule says so, and in which words, is no difference. */
function meaningOf({ result, effects }: Outcome): string {
  return result === "accepted" ? [result, ...effects].join(", ") : result;
}

function ruleOf({ act }: Outcome): string {
  const by = act.explanation?.by;
  return by === undefined ? (act.reply[0] ?? "") : `${by.text} ${by.at}`;
}
