/** tables/backtracking-thread.ts: entry of the thread that matches patterns which need back-tracking. It may hang in a match:
 *  backtracking.ts ends it then. */
import { parentPort } from "node:worker_threads";

export interface MatchRequest {
  readonly pattern: string;
  readonly flags: string;
  readonly key: string;
}

export type MatchReply =
  | { readonly kind: "ready" }
  | { readonly kind: "matched"; readonly groups: readonly string[] | undefined }
  | { readonly kind: "error"; readonly reason: string };

/** Compiled patterns, by flags and text; a table has few of them and they live as long as the table. */
const compiled = new Map<string, RegExp>();

function answer({ pattern, flags, key }: MatchRequest): MatchReply {
  try {
    const id = `${flags}/${pattern}`;
    const regexp = compiled.get(id) ?? new RegExp(pattern, flags);
    compiled.set(id, regexp);
    regexp.lastIndex = 0; // flag "y" goes on where the last match ended
    const match = regexp.exec(key);
    return { kind: "matched", groups: match ? Array.from(match, (group) => group ?? "") : undefined };
  } catch (error) {
    return { kind: "error", reason: error instanceof Error ? error.message : String(error) };
  }
}

const port = parentPort;
if (port) {
  port.on("message", (request: MatchRequest) => port.postMessage(answer(request)));
  port.postMessage({ kind: "ready" } satisfies MatchReply);
}
