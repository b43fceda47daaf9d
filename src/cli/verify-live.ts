/** cli/verify-live.ts: `postern verify --live`: asks the running server the questions of the proof over real connections, up
 *  to RCPT, shows the dialogues, and tells where server and proof disagree. No message is sent. */
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type LiveTarget, liveTargets } from "../master/live-targets.ts";
import { openSnapshotTables, silentLog } from "../master/prove.ts";
import { networkIn } from "../proof/networks.ts";
import type { Cell } from "../proof/prove.ts";
import type { ClientClass } from "../proof/scenario.ts";
import type { ServiceProof } from "../proof/service.ts";
import { type ProbeResult, probe } from "../smtp/probe.ts";
import { type Look, paint, wrap } from "./explain-format.ts";
import { CLIENTS } from "./verify-format.ts";

export interface LiveOptions {
  /** A recipient that is not ours. */
  readonly to: string;
  readonly fromAddress: string | undefined;
  readonly login: { readonly username: string; readonly password: string } | undefined;
}

/** One connection, and what the proof says of it. */
export interface LiveProbe extends ProbeResult {
  readonly service: string;
  readonly listener: string;
  readonly how: "in clear" | "with TLS" | "logged in";
  readonly from: string;
  /** As whom the server sees this client. */
  readonly client: ClientClass;
  readonly proven: Cell["verdict"];
  /** "contradicts": it was proven that nobody gets through. "other": proven to get through, but refused here. */
  readonly agreement: "agrees" | "contradicts" | "other" | "undecided";
}

export async function probeServices(
  snapshot: ConfigSnapshot,
  proofs: readonly ServiceProof[],
  options: LiveOptions,
): Promise<readonly LiveProbe[]> {
  const tables = openSnapshotTables(snapshot, silentLog());
  const deadlines = new Deadlines(systemClock);
  const probes: LiveProbe[] = [];
  try {
    for (const target of liveTargets(snapshot, tables)) {
      const proof = proofs.find(({ at }) => at.line === target.service.at.line && at.file === target.service.at.file);
      if (proof === undefined) continue;
      for (const how of waysTo(target, options))
        probes.push(await probeOnce(target, how, { proof, options, deadlines }));
    }
  } finally {
    await tables.close?.();
  }
  return probes;
}

function waysTo({ tls, sasl }: LiveTarget, { login }: LiveOptions): readonly LiveProbe["how"][] {
  return [
    ...(tls === "wrapper" ? [] : (["in clear"] as const)),
    ...(tls === "none" ? [] : (["with TLS"] as const)),
    ...(login !== undefined && sasl ? (["logged in"] as const) : []),
  ];
}

interface Surroundings {
  readonly proof: ServiceProof;
  readonly options: LiveOptions;
  readonly deadlines: Deadlines;
}

async function probeOnce(target: LiveTarget, how: LiveProbe["how"], around: Surroundings): Promise<LiveProbe> {
  const { proof, options, deadlines } = around;
  // To an address of this machine the system connects from that same address.
  const from = options.fromAddress ?? target.address;
  const client = await classOf(target, how, from);
  const cell = proof.cells.find((one) => one.client === client && one.destination === "foreign");
  const proven = cell?.verdict ?? "none";
  const shown = {
    service: proof.name,
    listener: `${target.address.includes(":") ? `[${target.address}]` : target.address}:${target.port}`,
    how,
    from,
    client,
    proven,
  };
  if (target.proxied) {
    const why = "the service waits for a PROXY header, so it is not asked";
    return { ...shown, outcome: "failed", at: "", why, dialogue: [], agreement: "undecided" };
  }
  const result = await probe({
    address: target.address,
    port: target.port,
    localAddress: options.fromAddress,
    tls: how === "in clear" ? "none" : target.tls,
    helo: cell?.candidate?.helo ?? "postern-verify.invalid",
    login: how === "logged in" ? options.login : undefined,
    sender: cell?.candidate?.sender ?? "",
    recipient: options.to,
    deadlines,
  });
  const agreement = agreementOf(result, proven);
  const excused = agreement === "contradicts" && client !== "login" && mayBeTrusted(proof, from);
  return { ...shown, ...result, agreement: excused ? "undecided" : agreement };
}

async function classOf(target: LiveTarget, how: LiveProbe["how"], from: string): Promise<ClientClass> {
  if (how === "logged in") return "login";
  if (await target.isMember(from)) return "mynetworks";
  return how === "with TLS" ? "strangerTls" : "stranger";
}

/** Client tables trust this address, or some host by name, which may be this one: he is no stranger then. */
function mayBeTrusted({ trusted }: ServiceProof, from: string): boolean {
  return trusted.some(({ hosts, more }) => more > 0 || hosts.some((host) => networkIn(host)?.matches(from) ?? true));
}

function agreementOf({ outcome }: ProbeResult, proven: Cell["verdict"]): LiveProbe["agreement"] {
  if (outcome === "failed" || proven === "maybe" || proven === "none") return "undecided";
  if (proven === "never") return outcome === "accepted" ? "contradicts" : "agrees";
  return outcome === "accepted" ? "agrees" : "other";
}

/** The dialogue, and a line that says what it proves. */
export function formatProbe(live: LiveProbe, look: Look): string {
  const { service, listener, how, from, client, dialogue } = live;
  const seen = client === "login" ? "" : `, ${CLIENTS[client]}`;
  const head = `${service} at ${listener}, ${how}, from ${from}${seen}`;
  const lines = dialogue.map((line) => wrap(line, "       ", "  "));
  return wrap(head, "  ", "") + lines.join("") + wrap(paint(conclusion(live), colourOf(live), look), "  ");
}

function conclusion({ outcome, at, why, proven, agreement }: LiveProbe): string {
  const what = outcome === "accepted" ? "accepted" : outcome === "refused" ? `refused at ${at}` : `failed: ${why}`;
  switch (agreement) {
    case "agrees":
      return `${what}, as proven (${proven})`;
    case "contradicts":
      return `${what.toUpperCase()}, BUT PROVEN NEVER: the server runs another configuration, or the proof is wrong`;
    case "other":
      return `${what}, though ${proven}: by a check that this client does not pass, or the server runs another configuration`;
    default:
      return proven === "none" || outcome === "failed" ? what : `${what} (proven: ${proven})`;
  }
}

function colourOf({ agreement }: LiveProbe): number | undefined {
  return agreement === "contradicts" ? 31 : undefined;
}
