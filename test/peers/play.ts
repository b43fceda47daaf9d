/** test/peers/play.ts: delivers to the peers of one script with the real agent and compares; beside what the script wants,
 *  what always holds: one outcome for each recipient, "sent" only for what a peer has acknowledged, nothing acknowledged
 *  twice, no connection left open. */
import assert from "node:assert/strict";
import { Log, type LogRecord } from "../../src/log/log.ts";
import type { RcptOutcome } from "../../src/mail/delivery.ts";
import { createWorld, type World } from "../../src/smtp/testdata/world.ts";
import { createTableOpener } from "../../src/tables/open.ts";
import { type FileSource, TableError } from "../../src/tables/table.ts";
import type { DeliveryWords, Peer } from "./peer-file.ts";
import { type Account, newAccount, PeerServer } from "./peer-server.ts";

/** For one delivery; a peer that takes longer has found a wait without a limit. */
const LIMIT_MS = 20_000;
const CHUNK_BYTES = 64 * 1024;
/** For the connections to be closed after the agent. */
const CLOSE_MS = 5_000;

/** What happened, as far as the notation speaks of it; texts with H1 … for hosts and 25 for ports. */
export interface Played {
  readonly outcomes: readonly (readonly { readonly recipient: string; readonly outcome: string }[])[];
  readonly tried: readonly string[];
  readonly log: readonly string[];
  readonly account: Account;
  /** Connections open after the agent was closed. */
  readonly open: number;
}

export async function playPeer(peer: Peer): Promise<Played> {
  const account = newAccount();
  const servers = Array.from({ length: peer.hosts }, (_, i) => new PeerServer(i + 1, peer, account));
  const ports: number[] = [];
  for (const server of servers) ports.push(await server.start());
  const world = createWorld({
    nexthop: nexthopOf(peer, ports),
    settings: settingsOf(peer, ports),
    protocol: peer.protocol,
    opener: createTableOpener({ files: NO_FILES, log: NO_LOG, configDirectory: "/nowhere" }),
  });
  try {
    const outcomes: { recipient: string; outcome: string }[][] = [];
    const tried: string[] = [];
    for (const words of peer.deliveries) {
      const from = account.connections.length;
      outcomes.push((await deliver(world, words)).map((o) => shown(o, words)));
      const hosts = account.connections.slice(from).map((host) => `H${host}`);
      tried.push(hosts.join(" ") || "none");
    }
    await world.agent.close();
    await Promise.all(servers.map((server) => server.quiet(CLOSE_MS)));
    const open = servers.reduce((n, server) => n + server.open, 0);
    return { outcomes, tried, log: world.records.map(lineOf), account, open };
  } finally {
    await world.agent.close();
    for (const server of servers) await server.stop().catch(() => undefined);
  }
}

const NO_LOG = new Log({ sink: () => undefined, now: () => 0, tag: "", id: 0 });
const NO_FILES: FileSource = {
  read: (path) => {
    throw new TableError(`No file ${path}`);
  },
};

export function nexthopOf(peer: Peer, ports: readonly number[]): string {
  const items = ports.map((port, i) => `[127.0.0.${i + 1}]:${port}`);
  return items.slice(0, items.length - peer.apart).join(", ");
}

export function settingsOf(peer: Peer, ports: readonly number[]): Readonly<Record<string, string>> {
  const filled = (value: string) => value.replace(/\$port(\d)/g, (_all, n: string) => `${ports[Number(n) - 1]}`);
  return Object.fromEntries(Object.entries(peer.settings).map(([name, value]) => [name, filled(value)]));
}

async function deliver(world: World, words: DeliveryWords): Promise<readonly RcptOutcome[]> {
  const abort = new AbortController();
  const limit = setTimeout(() => abort.abort(), LIMIT_MS);
  try {
    return await world.deliver({
      recipients: words.to.map(addressOf),
      ...(words.from === undefined ? {} : { sender: words.from }),
      ...(words.content === undefined ? {} : { content: chunksOf(Buffer.from(words.content, "latin1")) }),
      smtputf8: words.smtputf8,
      signal: abort.signal,
    });
  } finally {
    clearTimeout(limit);
    assert.ok(!abort.signal.aborted, "the delivery did not end");
  }
}

/** As the queue gives it. */
function chunksOf(bytes: Buffer): readonly Buffer[] {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

function addressOf(word: string): string {
  return word.includes("@") ? word : `${word}@dest.test`;
}

function shown(outcome: RcptOutcome, words: DeliveryWords): { recipient: string; outcome: string } {
  const recipient = words.to[outcome.recipientId - 1] ?? "?";
  return { recipient, outcome: plainHosts(`${outcome.kind} ${outcome.dsn} ${outcome.text}`) };
}

function lineOf({ severity, text }: LogRecord): string {
  return plainHosts(severity === "info" ? text : `${severity}: ${text}`);
}

/** Hosts as H1 …, all ports as 25. */
export function plainHosts(text: string): string {
  return text.replace(/127\.0\.0\.(\d)\[127\.0\.0\.\1\]/g, "H$1").replace(/(H\d):\d+/g, "$1:25");
}

/** Compares with what the script wants. Throws AssertionError. */
export function judge(peer: Peer, played: Played): void {
  for (const [i, words] of peer.deliveries.entries()) {
    const all = words.wants.find(({ recipient }) => recipient === "*");
    const want = words.to.map((recipient) => ({
      recipient,
      outcome: (words.wants.find((w) => w.recipient === recipient) ?? all)?.outcome ?? "nothing wanted",
    }));
    assert.deepEqual(
      played.outcomes[i],
      want.map((w, n) => filledIn(w, played.outcomes[i]?.[n]?.outcome)),
    );
    assert.equal(played.tried[i], words.tried, "connections");
  }
  judgeCommands(peer, played.account);
  for (const line of peer.log) assert.ok(played.log.includes(line), `not logged: ${line}\n${played.log.join("\n")}`);
  judgeAlways(peer, played);
}

/** An outcome that is wanted with `…` at its end, for what the kernel decides, is fulfilled by any that begins so. */
export function filledIn<W extends { readonly outcome: string }>(want: W, got = ""): W {
  const { outcome } = want;
  return outcome.endsWith("…") && got.startsWith(outcome.slice(0, -1)) ? { ...want, outcome: got } : want;
}

function judgeCommands(peer: Peer, { commands, contents }: Account): void {
  let at = 0;
  for (const begin of peer.said) {
    at = commands.findIndex((command, i) => i >= at && command.startsWith(begin)) + 1;
    assert.ok(at > 0, `not said: ${begin}\n${commands.join("\n")}`);
  }
  for (const text of peer.unsaid) assert.ok(!commands.some((command) => command.includes(text)), `said: ${text}`);
  for (const text of peer.got) {
    const whole = text.startsWith("^");
    const found = contents.some((content) => (whole ? content === text.slice(1) : content.includes(text)));
    assert.ok(found, `not got: ${JSON.stringify(text)}\n${contents.map((c) => JSON.stringify(c)).join("\n")}`);
  }
}

/** An acknowledged recipient that is not "sent" would be sent again; peers that ask for it say so in their title. */
function judgeAlways(peer: Peer, { outcomes, account, open }: Played): void {
  assert.equal(open, 0, "connections left open");
  const sent = peer.deliveries.flatMap((_words, i) =>
    (outcomes[i] ?? [])
      .filter(({ outcome }) => outcome.startsWith("sent "))
      .map(({ recipient }) => addressOf(recipient)),
  );
  assert.deepEqual([...sent].sort(), [...account.acknowledged].sort(), "sent, and acknowledged by a peer");
}
