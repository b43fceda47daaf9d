/** cli/sendmail-smtp.ts: `sendmail -bs`. */
import { queueDirectories } from "../master/directories.ts";
import { standAloneSession } from "../master/stand-alone.ts";
import { stdioSocket } from "../net/stdio-socket.ts";
import { createDropCleanup } from "../pickup/drop-cleanup.ts";
import { readConfiguration } from "./config-commands.ts";
import { SendmailError } from "./sendmail-options.ts";
import { checkSubmitter, currentUser, mainCf, tellServer, warn } from "./sendmail-user.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** An SMTP session on standard input and output, whose mail goes the way of all mail from this machine. */
export async function speakSmtp(terminal: Terminal): Promise<number> {
  const params = await mainCf(terminal);
  await checkSubmitter(currentUser(), params, terminal);
  const { snapshot, problems } = await readConfiguration(terminal.configDirectory);
  if (!snapshot) throw new SendmailError(EXIT.tryAgain, problems[0]?.text ?? "the configuration cannot be read");
  const { maildrop } = queueDirectories(params);
  await standAloneSession({
    snapshot,
    socket: stdioSocket(process.stdin, process.stdout),
    sink: ({ severity, text }) => (severity === "info" ? undefined : warn(terminal, text)),
    cleanup: (scope) => createDropCleanup({ maildrop, params: scope, warn: (text) => warn(terminal, text) }),
  });
  await tellServer(params);
  return EXIT.done;
}
