/** config/params/pickup.ts: the parameters of mail from programs of this machine, each declared once. */
import { type Declaration, list } from "../declare.ts";

export const PICKUP_PARAMETERS = {
  authorized_submit_users: list(
    "static:anyone",
    "Login names of who may submit mail with sendmail: names, !name, /files and type:table; `unknown` is who has no name.",
  ),
  authorized_mailq_users: list(
    "static:anyone",
    "Login names of who may list the queue, as for authorized_submit_users; root and mail_owner always may.",
  ),
  authorized_flush_users: list(
    "static:anyone",
    "Login names of who may flush the queue, as for authorized_submit_users; root and mail_owner always may.",
  ),
} satisfies Record<string, Declaration<unknown>>;
