/** config/params/log.ts: the parameters of log, each declared once. */
import type { Declaration } from "../declare.ts";

export const LOG_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
