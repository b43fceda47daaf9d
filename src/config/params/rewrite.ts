/** config/params/rewrite.ts: the parameters of rewrite, each declared once. */
import type { Declaration } from "../declare.ts";

export const REWRITE_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
