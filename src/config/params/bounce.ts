/** config/params/bounce.ts: the parameters of bounce, each declared once. Lifetimes and delay times are qmgr's. */
import { type Declaration, int } from "../declare.ts";

export const BOUNCE_PARAMETERS = {
  bounce_size_limit: int(
    "50000",
    { min: 1 },
    "Most bytes of the original message that a non-delivery notification returns; of a longer one only the headers are sent.",
  ),
} satisfies Record<string, Declaration<unknown>>;
