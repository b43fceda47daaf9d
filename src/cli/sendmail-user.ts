/** cli/sendmail-user.ts: what every way of submitting mail needs: main.cf, who the user is, whether he may, and how to say that
 *  something is wrong. */
import type { Parameters } from "../config/parameters.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { readAccountFiles, userWith } from "../master/accounts.ts";
import { queueDirectories } from "../master/directories.ts";
import { tellControl } from "../net/control-socket.ts";
import { compileUserList, formatUser, type LocalUser } from "../pickup/user-list.ts";
import { mainCfOf } from "./main-cf.ts";
import { SendmailError } from "./sendmail-options.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** How long a running server may take to hear that there is mail. */
const TELL_TIMEOUT_MS = 2000;

/** Who runs this. */
export function currentUser(): ReturnType<typeof userWith> {
  return userWith(readAccountFiles(), process.getuid?.() ?? -1);
}

/** Never rejects. */
export function tellServer(params: Parameters): Promise<void> {
  return tellControl(queueDirectories(params).client, { op: "pickup", args: {} }, TELL_TIMEOUT_MS);
}

/** Throws SendmailError if there is none. */
export async function mainCf(terminal: Terminal): Promise<Parameters> {
  const { params, unreadable } = await mainCfOf(terminal);
  if (unreadable) throw new SendmailError(EXIT.tryAgain, unreadable.text);
  return params;
}

/** Throws SendmailError: he may not, or that cannot be found out. */
export async function checkSubmitter(user: LocalUser, params: Parameters, terminal: Terminal): Promise<void> {
  const items = params.get("authorized_submit_users");
  if (items.length === 1 && items[0] === "static:anyone") return;
  const { openerFor } = await import("./command-tables.ts");
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

export function warn(terminal: Terminal, text: string): void {
  terminal.stderr(printableLine(`sendmail: warning: ${text}`));
}

export function printableLine(text: string): string {
  return `${printableUtf8(text)}\n`;
}
