/** config/params/virtual.ts: the parameters of the virtual agent, each declared once. Which addresses exist is rewrite's. */
import { type Declaration, int, list, text } from "../declare.ts";

export const VIRTUAL_PARAMETERS = {
  virtual_mailbox_base: text("", "Directory in front of every result of $virtual_mailbox_maps."),
  virtual_uid_maps: list(
    "",
    "Tables address → user id of its mailbox, e.g. static:5000. It must be that of the server's user ($mail_owner), who writes all mailboxes.",
  ),
  virtual_gid_maps: list(
    "",
    "Tables address → group id of its mailbox. Checked, but not used: files have mode 0600 and the group of the server's user.",
  ),
  virtual_minimum_uid: int("100", { min: 1 }, "The least user id that $virtual_uid_maps may give."),
  virtual_mailbox_limit: int(
    "51200000",
    { min: 0 },
    "The most bytes of a message that virtual writes into a maildir; larger ones are returned. 0: no limit.",
  ),
} satisfies Record<string, Declaration<unknown>>;
