/** bounce/built-in.ts: the texts of reports where bounce_template_file says nothing. */
import type { Template, Templates } from "./template.ts";

const FROM = "Mail Delivery System <MAILER-DAEMON>";

const HELP = [
  "If you need help, please write to postmaster and include this report;",
  "you may leave out your own text from the attached message.",
];

function template(subject: string, postmasterSubject: string | undefined, text: readonly string[]): Template {
  const opening = ["This is the mail system at host $myhostname.", ""];
  return { charset: "us-ascii", from: FROM, subject, postmasterSubject, text: [...opening, ...text] };
}

export const BUILT_IN_TEMPLATES: Templates = {
  failure: template("Undelivered Mail Returned to Sender", "Postmaster Copy: Undelivered Mail", [
    "I'm sorry to have to tell you that your message could not be",
    "delivered to the recipients listed below. It is attached, or its",
    "headers are.",
    "",
    ...HELP,
  ]),
  delay: template("Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail", [
    "THIS IS ONLY A WARNING: YOU NEED NOT SEND YOUR MESSAGE AGAIN.",
    "",
    "It could not be delivered to the recipients listed below for more",
    "than $delay_warning_time_hours hour(s). We keep trying until it is $maximal_queue_lifetime_days day(s) old.",
    "",
    ...HELP,
  ]),
  success: template("Successful Mail Delivery Report", undefined, [
    "Your message was delivered to the recipients listed below, or passed",
    "on to a mail system that does not report success. From that system",
    "you may still hear that something failed.",
  ]),
  verify: template("Mail Delivery Status Report", undefined, ["The status of each recipient is listed below."]),
};
