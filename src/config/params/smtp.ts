/** config/params/smtp.ts: the parameters of smtp, each declared once. */
import type { Declaration } from "../declare.ts";

export const SMTP_PARAMETERS = {} satisfies Record<string, Declaration<unknown>>;
