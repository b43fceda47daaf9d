/** config/params/tls.ts: the parameters of tls, each declared once. */
import type { Declaration } from "../declare.ts";

export const TLS_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
