/** policy/actions.ts: what a policy server may answer, as text that is right: access(5) actions for the handlers of
 *  postern/policy. Each function throws PolicyActionError for text that cannot be an answer, so a mistake shows in the
 *  handler and not in the mail server's log. What an action does is the mail server's. */

/** Characters of an action: with its name it must fit into Postfix's line_length_limit of 2048 bytes. */
const MAX_ACTION_BYTES = 1024;

/** Text that cannot be an action. */
export class PolicyActionError extends Error {
  override readonly name = "PolicyActionError";
}

/** The text itself, if it can be sent: not empty, one line, no control characters, at most 1024 bytes. */
export function checkAction(text: string): string {
  if (typeof text !== "string" || text.trim() === "") throw new PolicyActionError("Policy action is empty");
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new PolicyActionError(
      `Policy action holds a line end or control character: ${JSON.stringify(text.slice(0, 100))}`,
    );
  }
  if (!text.isWellFormed()) throw new PolicyActionError("Policy action is not well-formed Unicode");
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_ACTION_BYTES) {
    throw new PolicyActionError(`Policy action has ${bytes} bytes, which is more than ${MAX_ACTION_BYTES}`);
  }
  return text;
}

/** No opinion: the next restriction decides. */
export function dunno(): string {
  return "DUNNO";
}

/** Permits, and skips the rest of the list: with `relay` rights this lets strangers relay. Prefer dunno(). */
export function ok(): string {
  return "OK";
}

/** Refuses for good, with $access_map_reject_code (554); `status` is an enhanced status such as "5.7.1". */
export function reject(text = "", status?: string): string {
  return refusal("REJECT", text, { status, classes: "5" });
}

/** Refuses for now, with $access_map_defer_code (450). */
export function defer(text = "", status?: string): string {
  return refusal("DEFER", text, { status, classes: "4" });
}

/** Refuses with a reply code of your own, 400 to 599. */
export function replyCode(code: number, text: string, status?: string): string {
  if (!Number.isInteger(code) || code < 400 || code > 599) {
    throw new PolicyActionError(`Reply code ${code} is not within 400 to 599`);
  }
  if (text === "") throw new PolicyActionError(`Reply ${code} needs a text: a number alone permits`);
  return refusal(String(code), text, { status, classes: String(code).charAt(0) });
}

/** Refuses for now if everything else would permit. */
export function deferIfPermit(text = "", status?: string): string {
  return refusal("DEFER_IF_PERMIT", text, { status, classes: "4" });
}

/** Makes a later refusal a temporary one. */
export function deferIfReject(text = "", status?: string): string {
  return refusal("DEFER_IF_REJECT", text, { status, classes: "4" });
}

/** Puts a header field before the message; not at the end of the message. */
export function prepend(name: string, value: string): string {
  if (!/^[!-9;-~]+$/.test(name)) throw new PolicyActionError(`Bad header field name: ${JSON.stringify(name)}`); // RFC 5322 §2.2
  return checkAction(`PREPEND ${name}: ${value}`);
}

/** Accepts the message into the hold queue, where an operator decides. */
export function hold(text = ""): string {
  return checkAction(`HOLD ${text}`.trimEnd());
}

/** Says 250 and throws the message away. */
export function discard(text = ""): string {
  return checkAction(`DISCARD ${text}`.trimEnd());
}

/** Sends the message to one address instead of all its recipients. */
export function redirect(address: string): string {
  return checkAction(`REDIRECT ${mailbox(address)}`);
}

/** Adds a recipient. */
export function bcc(address: string): string {
  return checkAction(`BCC ${mailbox(address)}`);
}

/** Writes a warning to the mail log and has no opinion. */
export function warn(text: string): string {
  return checkAction(`WARN ${text}`.trimEnd());
}

/** Writes a line to the mail log and has no opinion. */
export function info(text: string): string {
  return checkAction(`INFO ${text}`.trimEnd());
}

function refusal(
  verb: string,
  text: string,
  { status, classes }: { readonly status: string | undefined; readonly classes: string },
): string {
  if (status !== undefined && !new RegExp(`^[${classes}]\\.\\d{1,3}\\.\\d{1,3}$`).test(status)) {
    throw new PolicyActionError(`Enhanced status "${status}" does not fit ${verb}: need ${classes}.x.y`);
  }
  return checkAction([verb, status, text].filter((part) => part !== undefined && part !== "").join(" "));
}

function mailbox(address: string): string {
  if (!/^\S+@\S+$/.test(address)) throw new PolicyActionError(`Not a mail address: ${JSON.stringify(address)}`);
  return address;
}
