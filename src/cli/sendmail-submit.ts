/** cli/sendmail-submit.ts: delivery mode of sendmail(1): the message on standard input goes into a file of the maildrop
 *  directory, whether the server runs or not. */
import { type Address, asAddress, NULL_ADDRESS } from "../mail/address.ts";
import { parseAddressList } from "../mail/header-address.ts";
import { DropFile } from "../pickup/drop-file.ts";
import { formatSubmission, isMailAddress, type Submission } from "../pickup/submission.ts";
import type { LocalUser } from "../pickup/user-list.ts";
import { formatUser } from "../pickup/user-list.ts";
import { DotEnd, endOfHeader, recipientsInHeader, withoutMailboxLines } from "./sendmail-input.ts";
import { SendmailError, type SendmailOptions } from "./sendmail-options.ts";
import { EXIT } from "./terminal.ts";

export interface SubmitContext {
  readonly user: LocalUser;
  /** NAME of the environment, or what the password file calls the user. */
  readonly fullName: string | undefined;
  readonly input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly maildrop: string;
  /** message_size_limit; 0: none. */
  readonly sizeLimit: number;
  /** header_size_limit: of one field. */
  readonly fieldLimit: number;
  readonly warn: (text: string) => void;
}

/** Bytes of a header that is looked at for recipients, and for lines that are no part of it. */
const MAX_HEADER_BYTES = 1024 * 1024;
const EX_DATAERR = 65;

/** Resolves when the message is on stable storage. Throws SendmailError. */
export async function submit(options: SendmailOptions, context: SubmitContext): Promise<void> {
  const name = formatUser(context.user);
  const message = withHeader(withoutDotEnd(context.input, options.dotEnds));
  const first = await message.next();
  const header = first.done ? Buffer.alloc(0) : first.value;
  const head = formatSubmission(submissionOf(options, context, header));
  if (head === undefined) throw new SendmailError(EX_DATAERR, `${name}: too many recipients`);
  await store(context, [head, header], message).catch((error: unknown) => {
    throw error instanceof SendmailError ? error : writeFailed(name, error);
  });
}

async function store(
  { user, maildrop, sizeLimit }: SubmitContext,
  [head, header]: readonly [Buffer, Buffer],
  rest: AsyncIterable<Buffer>,
): Promise<void> {
  const file = new DropFile(maildrop);
  try {
    let size = 0;
    const write = (bytes: Buffer) => {
      size += bytes.length;
      if (sizeLimit > 0 && size > sizeLimit) {
        throw new SendmailError(EX_DATAERR, `${formatUser(user)}: message file too big`);
      }
      file.write(bytes);
    };
    file.write(head);
    write(header);
    for await (const bytes of rest) write(bytes);
    file.complete();
  } catch (error) {
    file.abandon();
    throw error;
  }
}

function writeFailed(name: string, error: unknown): SendmailError {
  const { code, message } = error as NodeJS.ErrnoException;
  const hint =
    code === "ENOENT" || code === "EACCES" ? "; is queue_directory right, and was the server ever started?" : "";
  return new SendmailError(EXIT.tryAgain, `${name}: error writing queue file: ${message}${hint}`);
}

function submissionOf(options: SendmailOptions, context: SubmitContext, header: Buffer): Submission {
  const name = formatUser(context.user);
  const inHeader = options.extract ? recipientsInHeader(header, context.fieldLimit) : [];
  const recipients = [...options.operands.flatMap((word) => addressesIn(word, name)), ...inHeader];
  if (recipients.length === 0) {
    throw options.extract
      ? new SendmailError(EX_DATAERR, `${name}: No recipient addresses found in message header`)
      : new SendmailError(
          EXIT.usage,
          `${name}: Recipient addresses must be specified on the command line or via the -t option`,
        );
  }
  const bad = recipients.find((address) => !isMailAddress(address));
  if (bad !== undefined) throw badRecipient(name, bad);
  const { notify, ret, envid, body, gateway, report, mode } = options;
  return {
    sender: senderOf(options, context),
    recipients,
    fullName: options.fullName ?? context.fullName,
    notify: notify ?? (report ? ["SUCCESS", "FAILURE", "DELAY"] : undefined),
    ...{ ret, envid, body, gateway: gateway || undefined, verify: mode === "verify" || undefined },
  };
}

function addressesIn(word: string, name: string): readonly Address[] {
  const found = parseAddressList(word);
  if (found.length === 0) throw badRecipient(name, word);
  return found;
}

function badRecipient(name: string, text: string): SendmailError {
  return new SendmailError(EX_DATAERR, `${name}: bad recipient address syntax: ${JSON.stringify(text)}`);
}

/** Who runs it, unless -f names another. */
export function senderOf({ sender }: SendmailOptions, { user, warn }: Pick<SubmitContext, "user" | "warn">): Address {
  if (sender === undefined) {
    if (user.name === undefined) {
      throw new SendmailError(EXIT.tryAgain, `no login name found for user ID ${user.uid}`);
    }
    return asAddress(user.name);
  }
  if (sender === "" || sender === "<>") return NULL_ADDRESS;
  const found = parseAddressList(sender).filter(isMailAddress);
  if (found.length !== 1) warn(`-f option specified malformed sender: ${sender}`);
  return found[0] ?? NULL_ADDRESS;
}

/** The message, to its dot or to the end of the input. */
async function* withoutDotEnd(input: SubmitContext["input"], dotEnds: boolean): AsyncGenerator<Buffer> {
  const dot = new DotEnd();
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    yield dotEnds ? dot.push(bytes) : bytes;
    if (dot.ended) return;
  }
  yield dot.end();
}

/** First the header, or as much of the beginning as is looked at for one; then the rest. */
async function* withHeader(message: AsyncIterable<Buffer>): AsyncGenerator<Buffer, undefined> {
  let beginning: Buffer | undefined = Buffer.alloc(0);
  for await (const bytes of message) {
    if (beginning === undefined) yield bytes;
    else {
      beginning = Buffer.concat([beginning, bytes]);
      if (endOfHeader(beginning) === undefined && beginning.length < MAX_HEADER_BYTES) continue;
      yield withoutMailboxLines(beginning); // not before: the first line may have come in pieces
      beginning = undefined;
    }
  }
  if (beginning !== undefined) yield withoutMailboxLines(beginning);
  return undefined;
}
