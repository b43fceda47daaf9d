/** config/params/bounce.ts: the parameters of bounce, each declared once. */
import type { Declaration } from "../declare.ts";

export const BOUNCE_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
