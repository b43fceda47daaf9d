/** config/params/master.ts: the parameters of master, each declared once. */
import type { Declaration } from "../declare.ts";

export const MASTER_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
