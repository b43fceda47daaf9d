/** config/params/queue.ts: the parameters of queue, each declared once. */
import { bool, type Declaration, int } from "../declare.ts";

export const QUEUE_PARAMETERS = {
  queue_minfree: int(
    "0",
    { min: 0 },
    "The minimal amount of free space in bytes in the file system of the queue that is needed to receive mail; 0 means no check of its own.",
  ),
  enable_long_queue_ids: bool(
    "no",
    "Use long, case-sensitive, non-repeating queue ids instead of short upper-case hexadecimal ones. Either form is accepted on input.",
  ),
  postern_queue_inline_limit: int(
    "65536",
    { min: 0, max: 16_777_216 },
    "Message bodies of up to this many bytes are stored inside the queue database and share its group commit; larger ones are files beside it.",
    { origin: "postern", restart: true },
  ),
} satisfies Record<string, Declaration<unknown>>;
