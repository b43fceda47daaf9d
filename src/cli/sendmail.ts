/** cli/sendmail.ts: sendmail(1), also by that program name: mail from programs of this machine. What other programs do it leaves
 *  to them: mailq, newaliases, postqueue, start. They are loaded when they are wanted: mail is sent more often. */
import { queueDirectories } from "../master/directories.ts";
import { parseSendmailOptions, SendmailError, type SendmailOptions } from "./sendmail-options.ts";
import { senderOf, submit } from "./sendmail-submit.ts";
import { checkSubmitter, currentUser, mainCf, printableLine, tellServer, warn } from "./sendmail-user.ts";
import { type Command, EXIT, type Terminal } from "./terminal.ts";

export const sendmail: Command = async (args, terminal) => {
  try {
    const options = parseSendmailOptions(args);
    for (const text of options.warnings) warn(terminal, text);
    const { configDirectory } = options;
    return await run(options, configDirectory === undefined ? terminal : { ...terminal, configDirectory });
  } catch (error) {
    if (!(error instanceof SendmailError)) throw error;
    terminal.stderr(printableLine(`sendmail: fatal: ${error.message}`));
    return error.status;
  }
};

async function run(options: SendmailOptions, terminal: Terminal): Promise<number> {
  if (options.queueId !== undefined) return postqueue(["-i", options.queueId], terminal);
  if (options.site !== undefined) return postqueue(["-s", options.site], terminal);
  switch (options.mode) {
    case "list":
      return postqueue(["-p"], terminal);
    case "flush":
      return postqueue(["-f"], terminal);
    case "newaliases":
      return makeAliases(options.aliasDatabase, terminal);
    case "daemon":
      return (await import("./server-commands.ts")).start([], terminal);
    case "smtp":
      return (await import("./sendmail-smtp.ts")).speakSmtp(terminal);
    default:
      return deliver(options, terminal);
  }
}

async function postqueue(args: readonly string[], terminal: Terminal): Promise<number> {
  return (await import("./queue-commands.ts")).postqueue(args, terminal);
}

async function makeAliases(database: string | undefined, terminal: Terminal): Promise<number> {
  const { newaliases, postalias } = await import("./table-commands.ts");
  return database === undefined ? newaliases([], terminal) : postalias(["--", database], terminal);
}

/** What stands for a message where none is read. */
const PROBE = [Buffer.from("Subject: probe\n\n")];

async function deliver(options: SendmailOptions, terminal: Terminal): Promise<number> {
  const params = await mainCf(terminal);
  const user = currentUser();
  await checkSubmitter(user, params, terminal);
  const { maildrop } = queueDirectories(params);
  const context = {
    user,
    // biome-ignore lint/complexity/useLiteralKeys: index signature access is required by the compiler options
    fullName: process.env["NAME"] ?? user.fullName,
    input: options.mode === "verify" ? PROBE : (process.stdin as AsyncIterable<Uint8Array>),
    maildrop,
    sizeLimit: params.get("message_size_limit"),
    fieldLimit: params.get("header_size_limit"),
    warn: (text: string) => warn(terminal, text),
  };
  if (options.report || options.mode === "verify") {
    const sender = senderOf(options, { ...context, warn: () => undefined });
    terminal.stdout(printableLine(`Mail Delivery Status Report will be mailed to <${sender}>.`));
  }
  await submit(options, context);
  await tellServer(params);
  // An input that goes on behind the final dot would keep the process.
  process.stdin.destroy();
  return EXIT.done;
}
