/** config/params/local.ts: the parameters of local, each declared once. */
import type { Declaration } from "../declare.ts";

export const LOCAL_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
