/** master/control.ts: answers the CLI: status, reload, stop, and queue operations merged over all workers. */
import { systemClock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { parseQueueId } from "../mail/queue-id.ts";
import type { ControlRequest } from "../net/control-socket.ts";
import { folded, pausedText } from "../qmgr/withheld.ts";
import { QueueShape } from "../queue/shape.ts";
import type { QueueListing, ShapeCount } from "../queue/store.ts";
import type { Explanation } from "../smtpd/explanation.ts";
import { readAccountFiles, userWith } from "./accounts.ts";
import { ClientDoor, type ClientDoorDeps } from "./client-door.ts";
import type { Fleet } from "./fleet.ts";
import { checkLane, type PausedLane, type PausedLanes } from "./paused-lanes.ts";
import type { LaneArgs, QueueArgs, RefusalArgs, RightArgs, WorkerStatus } from "./protocol.ts";

const QUEUE_TIMEOUT_MS = 60_000;
/** Many millions of messages. */
const SHAPE_TIMEOUT_MS = 600_000;
const REFUSALS_TIMEOUT_MS = 10_000;

export interface ControlTarget {
  readonly fleet: Fleet;
  readonly master: {
    reload(): Promise<void>;
    stop(how?: { graceMs: number }): Promise<void>;
    rotateLog(): Promise<void>;
  };
  readonly generation: () => number;
  readonly paused: PausedLanes;
  readonly log: Log;
}

/** What became of LaneArgs. */
export interface LaneAnswer {
  /** False: it was so already. */
  readonly changed: boolean;
  /** Recipients that are due again. */
  readonly recipients: number;
  readonly paused: readonly PausedLane[];
}

/** Rejects with a sentence for the operator. */
export async function answerControl(request: ControlRequest, target: ControlTarget): Promise<unknown> {
  switch (request.op) {
    case "status": {
      const workers = (await target.fleet.callAll("status", {}, QUEUE_TIMEOUT_MS)) as WorkerStatus[];
      return { pid: process.pid, generation: target.generation(), workers };
    }
    case "reload":
      await target.master.reload();
      return { generation: target.generation() };
    case "stop":
      void target.master.stop();
      return undefined;
    case "abort":
      void target.master.stop({ graceMs: 0 });
      return undefined;
    case "logrotate":
      await target.master.rotateLog();
      return undefined;
    case "queue":
      return answerQueue(request.args as unknown as QueueArgs, target.fleet);
    case "lanes":
      return answerLanes(request.args as unknown as LaneArgs, target);
    case "adopt":
      await target.fleet.adopt(Number(request.args.shard));
      return undefined;
    case "refusals":
      return answerRefusals(request.args as unknown as RefusalArgs, target.fleet);
    default:
      throw new Error(`Unknown operation "${request.op}"`);
  }
}

async function answerLanes({ op, lane = "" }: LaneArgs, target: ControlTarget): Promise<LaneAnswer> {
  const { paused, fleet, log } = target;
  const answer = (changed: boolean, recipients = 0) => ({ changed, recipients, paused: paused.all });
  if (op === "list") return answer(false);
  const bad = checkLane(lane);
  if (bad !== undefined) throw new Error(bad);
  const changed = op === "pause" ? await paused.pause(lane, systemClock.now()) : await paused.resume(lane);
  // Also when it was so already: the last try may have ended before the workers knew.
  await fleet.pause({ keys: paused.keys });
  if (changed) log.info(printableUtf8(`deliveries to ${folded(lane)} ${op}d by the operator`));
  if (op === "pause") return answer(changed);
  const flush: QueueArgs = { op: "flush-reason", ids: "ALL", reason: pausedText(folded(lane)) };
  const counts = (await fleet.callAll("queue", flush, QUEUE_TIMEOUT_MS)) as number[];
  return answer(
    changed,
    counts.reduce((sum, n) => sum + n, 0),
  );
}

/** What every user of the machine may ask for. */
export function makeClientDoor(
  target: ControlTarget & Pick<ClientDoorDeps, "maildrop" | "trusted" | "isOpen">,
): ClientDoor {
  const { fleet, maildrop, trusted, isOpen } = target;
  return new ClientDoor({
    ...{ maildrop, trusted, isOpen, clock: systemClock },
    userWith: (uid) => userWith(readAccountFiles(), uid),
    allows: async (right, user) => {
      const answers = await fleet.callAll("allows", { right, user } satisfies RightArgs, QUEUE_TIMEOUT_MS);
      return answers.every((answer) => answer === true);
    },
    queue: (args) => answerQueue(args, fleet),
    pickup: () =>
      fleet.callAll("pickup", {}, QUEUE_TIMEOUT_MS).then(
        () => undefined,
        () => undefined,
      ),
  });
}

/** Lists and counts are joined; of `read`, the one worker that has the message answers. */
async function answerQueue(args: QueueArgs, fleet: Fleet): Promise<unknown> {
  const answers = await fleet.callAll("queue", args, args.op === "shape" ? SHAPE_TIMEOUT_MS : QUEUE_TIMEOUT_MS);
  if (args.op === "read") return answers.find((answer) => answer !== undefined);
  if (args.op === "shape") return joined(answers as ShapeCount[][]);
  if (args.op === "list") return onePage(answers as QueueListing[][], args.limit);
  return answers.flat();
}

function joined(counts: readonly ShapeCount[][]): readonly ShapeCount[] {
  const shape = new QueueShape();
  for (const one of counts) shape.add(one);
  return shape.counts;
}

/** The workers' pages as one, in queue id order: what is behind the limit comes with the next page, or would be skipped. */
function onePage(pages: readonly QueueListing[][], limit = Number.POSITIVE_INFINITY): readonly QueueListing[] {
  const age = ({ queueId }: QueueListing) => parseQueueId(queueId) ?? { micros: 0, shard: 0 };
  const sorted = pages.flat().sort((one, other) => {
    const [a, b] = [age(one), age(other)];
    return a.micros - b.micros || a.shard - b.shard;
  });
  return sorted.slice(0, limit);
}

/** Oldest first, over all workers. */
async function answerRefusals(args: RefusalArgs, fleet: Fleet): Promise<readonly Explanation[]> {
  const answers = (await fleet.callAll("refusals", args, REFUSALS_TIMEOUT_MS)) as Explanation[][];
  return answers
    .flat()
    .sort((a, b) => a.atMs - b.atMs)
    .slice(-args.last);
}
