/** cli/sendmail.ts: sendmail(1), also by that program name: mail from programs of this machine. What other programs do it leaves
 *  to them: mailq, newaliases, postqueue, start. */

import type { Parameters } from "../config/parameters.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { readAccountFiles, userWith } from "../master/accounts.ts";
import { queueDirectories } from "../master/directories.ts";
import { standAloneSession } from "../master/stand-alone.ts";
import { tellControl } from "../net/control-socket.ts";
import { stdioSocket } from "../net/stdio-socket.ts";
import { createDropCleanup } from "../pickup/drop-cleanup.ts";
import { compileUserList, formatUser, type LocalUser } from "../pickup/user-list.ts";
import { openerFor } from "./command-tables.ts";
import { readConfiguration } from "./config-commands.ts";
import { mailq, postqueue } from "./queue-commands.ts";
import { parseSendmailOptions, SendmailError, type SendmailOptions } from "./sendmail-options.ts";
import { senderOf, submit } from "./sendmail-submit.ts";
import { mainCfOf, start } from "./server-commands.ts";
import { newaliases, postalias } from "./table-commands.ts";
import { type Command, EXIT, type Terminal } from "./terminal.ts";

/** How long a running server may take to hear that there is mail. */
const TELL_TIMEOUT_MS = 2000;

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

function run(options: SendmailOptions, terminal: Terminal): Promise<number> {
  if (options.queueId !== undefined) return postqueue(["-i", options.queueId], terminal);
  if (options.site !== undefined) return postqueue(["-s", options.site], terminal);
  switch (options.mode) {
    case "list":
      return mailq([], terminal);
    case "flush":
      return postqueue(["-f"], terminal);
    case "newaliases":
      return options.aliasDatabase === undefined
        ? newaliases([], terminal)
        : postalias(["--", options.aliasDatabase], terminal);
    case "daemon":
      return start([], terminal);
    case "smtp":
      return speakSmtp(terminal);
    case "verify":
      throw new SendmailError(EXIT.notRunning, "-bv is not supported: use postern explain, or -v with a message");
    default:
      return deliver(options, terminal);
  }
}

async function deliver(options: SendmailOptions, terminal: Terminal): Promise<number> {
  const params = await mainCf(terminal);
  const user = userWith(readAccountFiles(), process.getuid?.() ?? -1);
  await checkSubmitter(user, params, terminal);
  const directories = queueDirectories(params);
  const context = {
    user,
    // biome-ignore lint/complexity/useLiteralKeys: index signature access is required by the compiler options
    fullName: process.env["NAME"] ?? user.fullName,
    input: process.stdin as AsyncIterable<Uint8Array>,
    maildrop: directories.maildrop,
    sizeLimit: params.get("message_size_limit"),
    fieldLimit: params.get("header_size_limit"),
    warn: (text: string) => warn(terminal, text),
  };
  if (options.report) {
    const sender = senderOf(options, { ...context, warn: () => undefined });
    terminal.stdout(printableLine(`Mail Delivery Status Report will be mailed to <${sender}>.`));
  }
  await submit(options, context);
  await tellControl(directories.client, { op: "pickup", args: {} }, TELL_TIMEOUT_MS);
  // An input that goes on behind the final dot would keep the process.
  process.stdin.destroy();
  return EXIT.done;
}

/** -bs: an SMTP session on standard input and output, whose mail goes the way of all mail from this machine. */
async function speakSmtp(terminal: Terminal): Promise<number> {
  const params = await mainCf(terminal);
  await checkSubmitter(userWith(readAccountFiles(), process.getuid?.() ?? -1), params, terminal);
  const { snapshot, problems } = await readConfiguration(terminal.configDirectory);
  if (!snapshot) throw new SendmailError(EXIT.tryAgain, problems[0]?.text ?? "the configuration cannot be read");
  const { maildrop, client } = queueDirectories(params);
  await standAloneSession({
    snapshot,
    socket: stdioSocket(process.stdin, process.stdout),
    sink: ({ severity, text }) => (severity === "info" ? undefined : warn(terminal, text)),
    cleanup: (scope) => createDropCleanup({ maildrop, params: scope, warn: (text) => warn(terminal, text) }),
  });
  await tellControl(client, { op: "pickup", args: {} }, TELL_TIMEOUT_MS);
  return EXIT.done;
}

async function mainCf(terminal: Terminal): Promise<Parameters> {
  const { params, unreadable } = await mainCfOf(terminal);
  if (unreadable) throw new SendmailError(EXIT.tryAgain, unreadable.text);
  return params;
}

async function checkSubmitter(user: LocalUser, params: Parameters, terminal: Terminal): Promise<void> {
  const items = params.get("authorized_submit_users");
  if (items.length === 1 && items[0] === "static:anyone") return;
  const opener = openerFor("sendmail", params, terminal);
  try {
    if (await compileUserList(items, opener).allows(user)) return;
  } catch (error) {
    throw new SendmailError(EXIT.tryAgain, `authorized_submit_users: ${(error as Error).message}`);
  } finally {
    await opener.close?.();
  }
  throw new SendmailError(EXIT.notPermitted, `User ${formatUser(user)} is not allowed to submit mail`);
}

function warn(terminal: Terminal, text: string): void {
  terminal.stderr(printableLine(`sendmail: warning: ${text}`));
}

function printableLine(text: string): string {
  return `${printableUtf8(text)}\n`;
}
