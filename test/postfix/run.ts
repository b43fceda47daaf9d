/** test/postfix/run.ts: `npm run test:postfix`: the dialogues of dialogues/*.txt held with an installed Postfix and with
 *  Postern, both from the same configuration. Replies and smtpd's log lines must be equal but for queue ids, or the
 *  difference stands in differences.ts. Needs root; installs Postfix and Dovecot where they are missing.
 *  Usage: run.ts [--only TEXT] [--show]     TEXT in `file service: title`;  --show prints each dialogue of Postern */
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { compare, type Held } from "./compare.ts";
import { type Dialogue, parseDialogues, type ServiceBlock } from "./dialogue-file.ts";
import { DIFFERENCES } from "./differences.ts";
import { play, type Said } from "./player.ts";
import { formatDifferences, formatListed, formatTable, isDifferent, type Outcome, stale } from "./report.ts";
import { readSessions, type SessionLines } from "./session-log.ts";
import { type Side, Site } from "./site.ts";

const SIDES = ["postfix", "postern"] as const;
/** Services served at the same time: both servers share two cores on a small machine. */
const PARALLEL = 4;

const { values: options } = parseArgs({ options: { only: { type: "string" }, show: { type: "boolean" } } });
const install = spawnSync("bash", [join(import.meta.dirname, "../../scripts/install-peers.sh")], { stdio: "inherit" });
if (install.status !== 0) process.exit(install.status ?? 1);
const groups = readGroups();
const site = await Site.start(groups.flatMap(({ services }) => services));
try {
  const outcomes = await holdAll();
  process.exitCode = print(outcomes) ? 0 : 1;
} finally {
  await site.stop();
}

interface Group {
  readonly name: string;
  readonly services: readonly ServiceBlock[];
}

function readGroups(): readonly Group[] {
  const files = globSync(join(import.meta.dirname, "dialogues/*.txt")).sort();
  return files.map((file) => {
    const name = basename(file, ".txt");
    try {
      return { name, services: select(name, parseDialogues(readFileSync(file, "utf8"))) };
    } catch (cause) {
      throw new Error(`${basename(file)}: ${(cause as Error).message}`, { cause });
    }
  });
}

/** Those that --only names. */
function select(group: string, services: readonly ServiceBlock[]): readonly ServiceBlock[] {
  const { only } = options;
  if (only === undefined) return services;
  const wanted = (service: ServiceBlock, { title }: Dialogue) => `${group} ${service.name}: ${title}`.includes(only);
  return services
    .map((service) => ({ ...service, dialogues: service.dialogues.filter((dialogue) => wanted(service, dialogue)) }))
    .filter(({ dialogues }) => dialogues.length > 0);
}

/** One service after the other by each of a few hands; the dialogues of a service in order, so that its log is, too. */
async function holdAll(): Promise<readonly Outcome[]> {
  const work = groups.flatMap(({ services }) => services);
  const held = new Map<Dialogue, Record<Side, readonly Said[]>>();
  const left = [...work];
  const hand = async () => {
    for (let service = left.shift(); service !== undefined; service = left.shift()) await hold(service, held);
  };
  await Promise.all(Array.from({ length: PARALLEL }, hand));
  await site.settled(new Map(work.map(({ name, dialogues }) => [name, dialogues.length])));
  const logs = { postfix: readSessions(site.log("postfix")), postern: readSessions(site.log("postern")) };
  return groups.flatMap(({ name, services }) =>
    services.flatMap((service) =>
      service.dialogues.map((dialogue, i) => judge({ name, service, dialogue, i }, held, logs)),
    ),
  );
}

async function hold(service: ServiceBlock, held: Map<Dialogue, Record<Side, readonly Said[]>>): Promise<void> {
  for (const dialogue of service.dialogues) {
    const [postfix, postern] = await Promise.all(SIDES.map((side) => play(dialogue, site.port(side, service.name))));
    if (postfix && postern) held.set(dialogue, { postfix, postern });
  }
}

function judge(
  { name, service, dialogue, i }: { name: string; service: ServiceBlock; dialogue: Dialogue; i: number },
  held: ReadonlyMap<Dialogue, Record<Side, readonly Said[]>>,
  logs: Record<Side, ReadonlyMap<string, readonly SessionLines[]>>,
): Outcome {
  const of = (side: Side): Held => ({
    said: held.get(dialogue)?.[side] ?? [],
    log: logs[side].get(service.name)?.[i]?.lines ?? ["(no session in the log)"],
  });
  const where = `${name}.txt:${dialogue.line} ${service.name}: ${dialogue.title}`;
  if (options.show) show(where, of("postern"));
  return { group: name, where, found: compare(of("postfix"), of("postern"), { allowed: DIFFERENCES, where }) };
}

function show(where: string, { said, log }: Held): void {
  const lines = said.map(({ step, reply }) => `  ${step}\n    ${reply.replaceAll("\r\n", "\n    ")}\n`);
  process.stdout.write(`${where}\n${lines.join("")}${log.map((line) => `  log ${line}\n`).join("")}`);
}

/** True if all is as it should be. */
function print(outcomes: readonly Outcome[]): boolean {
  const different = outcomes.filter(isDifferent);
  for (const outcome of different) process.stdout.write(`${formatDifferences(outcome)}\n`);
  process.stdout.write(`${formatTable(outcomes)}\n${formatListed(DIFFERENCES, outcomes)}`);
  const old = options.only === undefined ? stale(DIFFERENCES, outcomes) : [];
  for (const { id } of old) process.stdout.write(`\n${id}: listed, but nothing differs like that any more\n`);
  return different.length === 0 && old.length === 0;
}
