/** config/params/sasl.ts: the parameters of sasl, each declared once. */
import type { Declaration } from "../declare.ts";

export const SASL_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
