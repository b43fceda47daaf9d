/** config/params/bounce.ts: the parameters of bounce, each declared once. Lifetimes are qmgr's. */
import { bool, type Declaration, file, int, list, ParameterError, splitList, text, time } from "../declare.ts";

const NOTIFY_CLASSES = ["bounce", "2bounce", "data", "delay", "policy", "protocol", "resource", "software"];

function parseClasses(value: string, name: string): readonly string[] {
  const words = splitList(value, name).map((word) => word.toLowerCase());
  const unknown = words.find((word) => !NOTIFY_CLASSES.includes(word));
  if (unknown !== undefined) throw new ParameterError(`unknown ${name} value "${unknown}" in "${value}"`);
  return words;
}

export const BOUNCE_PARAMETERS = {
  bounce_size_limit: int(
    "50000",
    { min: 1 },
    "Most bytes of the original message that a non-delivery notification returns; of a longer one only the headers are sent.",
  ),
  bounce_template_file: file(
    "",
    "File with the texts of delivery reports, in the format of Postfix's bounce(5). A name without / in front is looked for beside main.cf.",
  ),
  delay_warning_time: time(
    "0h",
    "h",
    { min: 0 },
    "Tell the sender when a message could not be delivered for this long. 0: never.",
  ),
  confirm_delay_cleared: bool("no", "Tell a sender who was told of a delay that the message was delivered after all."),
  notify_classes: {
    ...list(
      "resource, software",
      "What the postmaster is told of: bounce (copies of non-delivery notifications, headers only), 2bounce (notifications that cannot be delivered), delay (copies of delay notifications). And, by a transcript, of SMTP sessions with refusals: for want of a resource (storage), because of software (errors of this server), data (a table did not answer), policy (restrictions), protocol (commands); at most 60 an hour from each service and worker.",
    ),
    parse: parseClasses,
  },
  bounce_notice_recipient: text("postmaster", "Who gets copies of non-delivery notifications."),
  "2bounce_notice_recipient": text("postmaster", "Who gets mail with the null sender that cannot be delivered."),
  error_notice_recipient: text("postmaster", "Who gets transcripts of SMTP sessions."),
  delay_notice_recipient: text("postmaster", "Who gets copies of delay notifications."),
  double_bounce_sender: text(
    "double-bounce",
    "Local part of the sender of notices to the postmaster; mail that comes back to it is discarded, so that bounces end.",
  ),
  enable_threaded_bounces: bool(
    "no",
    "Give delivery reports References and In-Reply-To fields, so that mail programs show them with the message.",
  ),
} satisfies Record<string, Declaration<unknown>>;
