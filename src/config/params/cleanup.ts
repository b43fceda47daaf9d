/** config/params/cleanup.ts: the parameters of cleanup, each declared once. */
import type { Declaration } from "../declare.ts";

export const CLEANUP_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
