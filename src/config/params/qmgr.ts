/** config/params/qmgr.ts: the parameters of qmgr, each declared once. */
import type { Declaration } from "../declare.ts";

export const QMGR_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
