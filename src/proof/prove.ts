/** proof/prove.ts: the matrix of one service: which kind of client gets mail to which kind of destination through it. Each
 *  cell tries every combination of choices that can make a difference (design §8: one that gets through is enough). */
import type { CompiledAccess } from "../access/compile.ts";
import type { Rule } from "../access/restriction.ts";
import { asAddress } from "../mail/address.ts";
import type { AddressClass, AddressResolver } from "../rewrite/resolve.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import { TableError } from "../tables/table.ts";
import { domainTables, partOf } from "./answer.ts";
import { type Choices, choicesOf, ownDomain, relayDomain } from "./choices.ts";
import { type ClientKind, clientKinds } from "./client-kinds.ts";
import { ListRunner, newShared, type Outlook, type Shared } from "./lists.ts";
import { stepsOf, type Unseen } from "./possible.ts";
import type { World } from "./question.ts";
import { type RcptStage, reachableRules } from "./reachable.ts";
import type { Candidate, ClientClass, Destination, Scene } from "./scenario.ts";
import { unseenAmong, Values } from "./sight.ts";
import { type TrustedHosts, trustedHosts } from "./trusted.ts";

/** Combinations tried for one cell. Beyond them "never" is not proven. */
const MAX_COMBINATIONS = 2000;

export interface ProofInput {
  readonly access: CompiledAccess;
  readonly mynetworks: AddressList;
  readonly placeOf: World["placeOf"];
  /** CA certificates that may have signed a client's (smtpd_tls_CAfile, smtpd_tls_CApath). */
  readonly caCertificates: number;
}

export interface Cell {
  readonly client: ClientClass;
  readonly destination: Destination;
  /** "none": there is no such client or destination here. */
  readonly verdict: "always" | "maybe" | "never" | "none";
  /** Why there is no such client, or why he cannot even begin. */
  readonly note: string;
  readonly candidate?: Candidate | undefined;
  readonly outlook?: Outlook | undefined;
  /** What a "maybe" hangs on. */
  readonly unseen: readonly Unseen[];
  /** There were too many combinations to try all. */
  readonly capped: boolean;
}

export interface Matrix {
  readonly cells: readonly Cell[];
  readonly trusted: readonly TrustedHosts[];
  readonly reached: Shared["reached"];
  readonly strangersElsewhere: Shared["strangersElsewhere"];
  /** relay_domains matches any domain, so nothing is elsewhere. */
  readonly relaysAll: boolean;
}

export async function proveService(input: ProofInput): Promise<Matrix> {
  const { access, mynetworks, placeOf, caCertificates } = input;
  const values = new Values();
  const seen = { services: access.services, mynetworks, placeOf, capped: new Set<string>(), values };
  const rules = reachableRules(access.lists, access.services, values);
  const choices = choicesOf(rules.keys(), seen);
  const world: World = { ...seen, capped: choices.capped };
  const recipients = await recipientsOf(choices, world);
  const cells: Cell[] = [];
  const shared = newShared();
  for (const kind of clientKinds(world, choices, caCertificates)) {
    for (const destination of ["local", "relay", "foreign", "named"] as const) {
      cells.push(
        await proveCell({
          kind,
          destination,
          recipients: recipients[destination],
          choices,
          rules,
          shared,
          input,
          world,
        }),
      );
    }
  }
  const relaysAll = recipients.foreign.length === 0 && recipients.relay.includes(choices.foreign[0] ?? "");
  const { reached, strangersElsewhere } = shared;
  return { cells, trusted: trustedHosts(rules.keys(), world), reached, strangersElsewhere, relaysAll };
}

/** Recipients of each kind. Where the domain tables cannot be seen, foreign is what looks it. */
async function recipientsOf(
  { foreign, named }: Choices,
  world: World,
): Promise<Readonly<Record<Destination, readonly string[]>>> {
  const relay = relayDomain(world);
  const found: Record<Destination, string[]> = {
    local: [`someone@${ownDomain(world)}`],
    relay: relay === undefined ? [] : [`someone@${relay}`],
    foreign: [],
    named: [],
  };
  const { tables, resolver } = world.services;
  const canTell = unseenAmong(domainTables(world), tables).length === 0;
  const sort = async (address: string, otherwise: "foreign" | "named") => {
    const addressClass = canTell ? await classOf(address, resolver) : "default";
    const ours = addressClass === "relay" ? "relay" : "local";
    found[addressClass === "default" ? otherwise : ours].push(address);
  };
  for (const address of foreign) await sort(address, "foreign");
  for (const address of named) await sort(address, "named");
  return found;
}

/** A broken domain table makes the server defer; nothing is ours then. */
async function classOf(address: string, resolver: AddressResolver): Promise<AddressClass> {
  try {
    return await resolver.classOf(asAddress(address));
  } catch (error) {
    if (error instanceof TableError) return "default";
    throw error;
  }
}

interface CellQuestion {
  readonly kind: ClientKind;
  readonly destination: Destination;
  readonly recipients: readonly string[];
  readonly choices: Choices;
  readonly rules: ReadonlyMap<Rule, RcptStage>;
  readonly shared: Shared;
  readonly input: ProofInput;
  readonly world: World;
}

async function proveCell(question: CellQuestion): Promise<Cell> {
  const { kind, destination, recipients, world } = question;
  const cell = { client: kind.client, destination, note: kind.note, unseen: [], capped: false };
  if (recipients.length === 0) return { ...cell, verdict: "none", note: "" };
  if (!kind.exists) return { ...cell, verdict: "none" };
  if (kind.note !== "") return { ...cell, verdict: "never" };
  const saslEnabled = world.services.params.get("smtpd_sasl_auth_enable");
  const scene: Scene = { client: kind.client, destination, tls: kind.tls, saslEnabled };
  const runner = new ListRunner(world, question.input.access.lists, scene, question.shared);
  const tried = await distinctCandidates(runner, question);
  let best: { readonly candidate: Candidate; readonly outlook: Outlook } | undefined;
  const unseen = new Map<string, Unseen>();
  for (const candidate of tried.candidates) {
    const outlook = await runner.outlook(candidate);
    if (outlook.verdict === "maybe") for (const one of unseenIn(outlook)) unseen.set(one.what, one);
    if (best === undefined || RANK[outlook.verdict] > RANK[best.outlook.verdict]) best = { candidate, outlook };
  }
  const { capped } = tried;
  const verdict = best?.outlook.verdict ?? "never";
  if (verdict === "always") return { ...cell, verdict, ...best };
  return { ...cell, verdict: capped ? "maybe" : verdict, ...best, unseen: [...unseen.values()], capped };
}

const RANK = { never: 0, maybe: 1, always: 2 };

function unseenIn({ lists }: Outlook): readonly Unseen[] {
  return lists.flatMap(({ possible: { permit, next, refuse } }) =>
    [permit, next, refuse].flatMap((path) => stepsOf(path).flatMap(({ unseen }) => (unseen ? [unseen] : []))),
  );
}

interface Tried {
  readonly candidates: readonly Candidate[];
  readonly capped: boolean;
}

/** Values of one part that all rules treat alike count as one; the first, which is the plainest, stands for them. */
async function distinctCandidates(runner: ListRunner, question: CellQuestion): Promise<Tried> {
  const { kind, choices, recipients, rules } = question;
  const values = {
    host: kind.hosts,
    peer: kind.peers,
    helo: choices.helos,
    sender: choices.senders,
    recipient: recipients,
  } as const;
  const base: Candidate = {
    host: values.host[0] ?? { address: "203.0.113.77", name: "unknown", reverseName: "unknown" },
    peer: values.peer[0],
    helo: values.helo[0],
    sender: values.sender[0] ?? "",
    recipient: recipients[0] ?? "",
  };
  let candidates: readonly Candidate[] = [base];
  let capped = false;
  for (const part of ["host", "peer", "recipient", "helo", "sender"] as const) {
    const own = [...rules].filter(([rule]) => partOf(rule) === part);
    const distinct = new Map<string, unknown>();
    for (const value of values[part]) {
      const signature = await signatureOf({ ...base, [part]: value } as Candidate, {
        own,
        runner,
        skipped: value === undefined,
      });
      if (!distinct.has(signature)) distinct.set(signature, value);
    }
    const all = candidates.flatMap((one) =>
      [...distinct.values()].map((value) => ({ ...one, [part]: value }) as Candidate),
    );
    capped ||= all.length > MAX_COMBINATIONS;
    candidates = all.slice(0, MAX_COMBINATIONS);
  }
  return { candidates, capped };
}

async function signatureOf(
  candidate: Candidate,
  { own, runner, skipped }: { own: readonly (readonly [Rule, RcptStage])[]; runner: ListRunner; skipped: boolean },
): Promise<string> {
  const codes = [skipped ? "-" : "+"];
  for (const [rule, stage] of own) {
    const { permit, next, refuse, run, unseen } = await runner.answer(rule, stage, candidate);
    const list = run === undefined ? "" : `${runner.idOf(run.rules)}${run.permitted === undefined ? "" : "!"}`;
    codes.push(
      `${permit ? "p" : ""}${next ? "n" : ""}${refuse === undefined ? "" : `-${refuse}`}${list}${unseen ? "?" : ""}`,
    );
  }
  return codes.join(",");
}
