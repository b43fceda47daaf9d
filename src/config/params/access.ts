/** config/params/access.ts: the parameters of access, each declared once. */
import type { Declaration } from "../declare.ts";

export const ACCESS_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
