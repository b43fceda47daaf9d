/** cleanup/deps.ts: what cleanup needs of the rooms around it. */
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import type { ClaimedMessage, QueueStore } from "../queue/store.ts";
import type { RouteLane } from "./cleanup.ts";

export interface CleanupDeps {
  readonly params: Parameters;
  readonly store: Pick<QueueStore, "beginBody" | "append">;
  readonly log: Log;
  readonly laneOf: RouteLane;
  /** Hands a committed, claimed message to the scheduler. */
  readonly arrived: (message: ClaimedMessage) => void;
  /** The message is committed but not claimed: the scheduler shall look for due lanes. */
  readonly poke: () => void;
}
