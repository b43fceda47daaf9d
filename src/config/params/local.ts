/** config/params/local.ts: the parameters of local, each declared once. */
import { type Declaration, text } from "../declare.ts";

export const LOCAL_PARAMETERS = {
  home_mailbox: text(
    "Maildir/",
    "Where local mail goes, relative to the user's home directory; the name ends in / because only the maildir format is " +
      "written (Postfix's default is empty). The server's user must be able to write there.",
    { raw: true },
  ),
  mail_spool_directory: text(
    "/var/mail",
    "Used when $home_mailbox is empty and this ends in /: mail goes to the maildir $mail_spool_directory$user/.",
    { raw: true },
  ),
  postern_local_maildir: text(
    "",
    "Maildir of a local user, e.g. /var/mail/$user/; $user is the name without extension, in lower case, $domain the " +
      "recipient's domain. If set, it comes before $home_mailbox, and /etc/passwd is not asked who is a user.",
    { origin: "postern", raw: true },
  ),
} satisfies Record<string, Declaration<unknown>>;
