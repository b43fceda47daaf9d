/** config/params/queue.ts: the parameters of queue, each declared once. */
import type { Declaration } from "../declare.ts";

export const QUEUE_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
