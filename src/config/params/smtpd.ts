/** config/params/smtpd.ts: the parameters of smtpd, each declared once. */
import type { Declaration } from "../declare.ts";

export const SMTPD_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
