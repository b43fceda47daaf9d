/** cli/queue-pause.ts: postern queue pause, resume: destinations that get no mail until an operator says so; without a name,
 *  what is paused. Works while the server is down: the next start knows. */
import { systemClock } from "../base/clock.ts";
import { loadSnapshot } from "../config/load.ts";
import { BUILT_IN_TRANSPORTS } from "../master/agents.ts";
import type { LaneAnswer } from "../master/control.ts";
import { checkLane, type PausedLane, PausedLanes } from "../master/paused-lanes.ts";
import type { LaneArgs } from "../master/protocol.ts";
import { folded, pausedText } from "../qmgr/withheld.ts";
import { sourceOf } from "./main-cf.ts";
import { withQueue } from "./queue-access.ts";
import { formatAge } from "./queue-lines.ts";
import { UsageError } from "./queue-options.ts";
import { control, directoriesOf } from "./server-commands.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** `verb`: pause or resume. Throws UsageError, and what the server answered. */
export async function pauseLanes(
  verb: "pause" | "resume",
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const json = args.includes("--json");
  const lanes = args.filter((arg) => arg !== "--json");
  const bad = lanes.find((lane) => lane.startsWith("-"));
  if (bad !== undefined) throw new UsageError(`unknown option ${bad}; see: postern queue help`);
  if (lanes.length === 0 && verb === "resume")
    throw new UsageError("resume: say which: TRANSPORT or TRANSPORT:NEXTHOP");
  for (const lane of lanes) await checkKnown(verb, lane, terminal);
  for (const lane of lanes)
    terminal.stderr(`postern: queue: ${told(verb, lane, await ask({ op: verb, lane }, terminal))}\n`);
  if (lanes.length === 0)
    terminal.stdout(json ? formatJson(await pausedNow(terminal)) : formatPaused(await pausedNow(terminal)));
  return EXIT.done;
}

/** What is paused at present, oldest first. */
export async function pausedNow(terminal: Terminal): Promise<readonly PausedLane[]> {
  return (await ask({ op: "list" }, terminal)).paused;
}

/** What stands under a list of the queue; nothing if nothing is paused. */
export function formatPausedNote(paused: readonly PausedLane[], nowMs: number): string {
  return paused.map(({ lane, sinceMs }) => `Paused: ${lane}, since ${formatAge(nowMs - sinceMs)}.\n`).join("");
}

function formatPaused(paused: readonly PausedLane[]): string {
  return paused.length === 0 ? "Nothing is paused.\n" : formatPausedNote(paused, systemClock.now());
}

function formatJson(paused: readonly PausedLane[]): string {
  return paused
    .map(({ lane, sinceMs }) => `${JSON.stringify({ lane, paused_since: Math.floor(sinceMs / 1000) })}\n`)
    .join("");
}

function told(verb: "pause" | "resume", lane: string, { changed, recipients }: LaneAnswer): string {
  const name = folded(lane);
  if (verb === "pause") return changed ? `${name} paused` : `${name} was paused already`;
  const due = recipients === 0 ? "" : `, ${recipients} recipient${recipients === 1 ? "" : "s"} due now`;
  return changed ? `${name} resumed${due}` : `${name} was not paused${due}`;
}

/** The server's answer; while none runs, the file is changed in place. */
async function ask(args: LaneArgs, terminal: Terminal): Promise<LaneAnswer> {
  const answer = await control(terminal, "lanes", { ...args });
  if (answer !== undefined) return answer as LaneAnswer;
  const paused = new PausedLanes((await directoriesOf(terminal)).paused);
  const { op, lane = "" } = args;
  if (op === "list") return { changed: false, recipients: 0, paused: paused.all };
  if (op === "pause") {
    return { changed: await paused.pause(lane, systemClock.now()), recipients: 0, paused: paused.all };
  }
  const changed = await paused.resume(lane);
  const flush = { op: "flush-reason", ids: "ALL", reason: pausedText(folded(lane)) } as const;
  const recipients = await withQueue(terminal, async (queue) => Number(await queue.ask(flush)));
  return { changed, recipients, paused: paused.all };
}

/** A misspelt name would pause nothing. While main.cf or master.cf are broken, every name is taken. */
async function checkKnown(verb: string, lane: string, terminal: Terminal): Promise<void> {
  const bad = checkLane(lane);
  if (bad !== undefined) throw new UsageError(`${verb}: ${bad}`);
  if (verb !== "pause") return;
  const { snapshot } = await loadSnapshot(sourceOf(terminal));
  const [name = ""] = lane.split(":", 1);
  if (snapshot === undefined || BUILT_IN_TRANSPORTS.has(name)) return;
  if (!snapshot.services.some((service) => service.type === "unix" && service.name === name))
    throw new UsageError(`pause: master.cf has no transport "${name}"`);
}
