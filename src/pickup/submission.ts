/** pickup/submission.ts: the first line of a maildrop file: who sends to whom, and what was asked for. Written by sendmail(1),
 *  which runs as any user, so nothing in it is believed: every member is checked, and who submitted is what the file system
 *  says, not the file. Behind it stands the content, lines ending in LF, to the end of the file. */
import { type Address, asAddress, domainOf, localPartOf, NULL_ADDRESS } from "../mail/address.ts";
import type { NotifyCondition, RecipientDsn } from "../mail/dsn.ts";

export interface Submission {
  /** As given: not rewritten, perhaps without domain. */
  readonly sender: Address;
  /** At least one. */
  readonly recipients: readonly Address[];
  readonly fullName?: string | undefined;
  /** For all recipients. */
  readonly notify?: readonly NotifyCondition[] | undefined;
  /** For each of them, where they differ; as many as recipients. */
  readonly dsn?: readonly RecipientDsn[] | undefined;
  readonly ret?: "FULL" | "HDRS" | undefined;
  /** Printable ASCII. */
  readonly envid?: string | undefined;
  /** undefined: the content tells. */
  readonly body?: "7BIT" | "8BITMIME" | undefined;
  /** The id that it was given before, for the log. */
  readonly originalId?: string | undefined;
  /** It comes from elsewhere (sendmail -G): headers are left alone. */
  readonly gateway?: boolean | undefined;
  /** Only what would become of it is wanted (sendmail -bv). */
  readonly verify?: boolean | undefined;
}

/** The longest first line in bytes, its LF included: some 50,000 recipients. */
export const MAX_HEAD_BYTES = 4 * 1024 * 1024;

const MAGIC = "postern-maildrop 1 ";
const MAX_ADDRESS_LENGTH = 1000;
const CONDITIONS: readonly NotifyCondition[] = ["NEVER", "SUCCESS", "FAILURE", "DELAY"];

/** With its LF; undefined if it would be too long. */
export function formatSubmission(submission: Submission): Buffer | undefined {
  const line = Buffer.from(`${MAGIC}${JSON.stringify(submission)}\n`);
  return line.length > MAX_HEAD_BYTES ? undefined : line;
}

/** undefined: it is none. */
export function parseSubmission(line: Uint8Array): Submission | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8");
  if (!text.startsWith(MAGIC)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text.slice(MAGIC.length));
  } catch {
    return undefined; // JSON.parse() throws nothing but SyntaxError
  }
  return isRecord(value) ? checkMembers(value) : undefined;
}

function checkMembers(value: Readonly<Record<string, unknown>>): Submission | undefined {
  const { sender, recipients, fullName, notify, dsn, ret, envid, body, originalId, gateway, verify } = value;
  const good =
    typeof sender === "string" &&
    (sender === "" || isMailAddress(sender)) &&
    Array.isArray(recipients) &&
    recipients.length > 0 &&
    recipients.every((recipient) => typeof recipient === "string" && isMailAddress(recipient)) &&
    (fullName === undefined || typeof fullName === "string") &&
    (notify === undefined || isNotify(notify)) &&
    (dsn === undefined || (Array.isArray(dsn) && dsn.length === recipients.length && dsn.every(isRecipientDsn))) &&
    (originalId === undefined || (typeof originalId === "string" && /^[0-9A-Za-z]{1,30}$/.test(originalId))) &&
    (ret === undefined || ret === "FULL" || ret === "HDRS") &&
    (envid === undefined || (typeof envid === "string" && /^[\x20-\x7e]{1,100}$/.test(envid))) &&
    (body === undefined || body === "7BIT" || body === "8BITMIME") &&
    (gateway === undefined || typeof gateway === "boolean") &&
    (verify === undefined || typeof verify === "boolean");
  if (!good) return undefined;
  return {
    sender: sender === "" ? NULL_ADDRESS : asAddress(sender),
    recipients: recipients.map(asAddress),
    ...{ fullName, notify, dsn, ret, envid, body, originalId, gateway, verify },
  };
}

/** Whether text can be mailed to: a local part, and behind the last "@" a domain name or an address in brackets. */
export function isMailAddress(text: string): boolean {
  if (text === "" || text.length > MAX_ADDRESS_LENGTH || /[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(text)) return false;
  const address = asAddress(text);
  const domain = domainOf(address);
  if (localPartOf(address) === "") return false;
  return (
    domain === undefined || /^(?:\[[^\][\s]+\]|[^\s@[\]<>()",;:\\.]+(?:\.[^\s@[\]<>()",;:\\.]+)*\.?)$/.test(domain)
  );
}

function isNotify(value: unknown): value is readonly NotifyCondition[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > CONDITIONS.length) return false;
  return value.every((word) => CONDITIONS.includes(word)) && (value.length === 1 || !value.includes("NEVER"));
}

function isRecipientDsn(value: unknown): value is RecipientDsn {
  if (!isRecord(value)) return false;
  const { notify, orcpt, ...rest } = value;
  const good = orcpt === undefined || (typeof orcpt === "string" && isOrcpt(orcpt));
  return good && (notify === undefined || isNotify(notify)) && Object.keys(rest).length === 0;
}

/** `rfc822;user@example.org`, printable. */
function isOrcpt(text: string): boolean {
  return text.length <= MAX_ADDRESS_LENGTH && /^[A-Za-z0-9-]+;[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$/.test(text);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
