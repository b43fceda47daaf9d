/** cli/main.ts: the command line of design §12: `postern [-c DIR] [-v] COMMAND [ARGS]`; Postfix's program names work too. */

import { createInterface } from "node:readline/promises";
import { text as readText } from "node:stream/consumers";
import { DeniedError, TryAgainError } from "../net/control-socket.ts";
import { runCheck } from "./check.ts";
import { NotRunningError } from "./client-access.ts";
import { postconf, user } from "./config-commands.ts";
import { runDemo } from "./demo.ts";
import { diff } from "./diff.ts";
import { dkim } from "./dkim.ts";
import { explain } from "./explain.ts";
import { logrotate } from "./logrotate.ts";
import { postsuper } from "./postsuper.ts";
import { queue } from "./queue.ts";
import { mailq, postcat, postqueue } from "./queue-commands.ts";
import { sendmail } from "./sendmail.ts";
import { abort, flush, reload, start, startForeground, status, stop } from "./server-commands.ts";
import { newaliases, postalias, postmap } from "./table-commands.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { verify } from "./verify.ts";

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ["start", start],
  ["start-fg", startForeground],
  ["stop", stop],
  ["abort", abort],
  ["reload", reload],
  ["status", status],
  ["check", runCheck],
  ["flush", flush],
  ["logrotate", logrotate],
  ["demo", runDemo],
  ["postconf", postconf],
  ["postmap", postmap],
  ["postalias", postalias],
  ["newaliases", newaliases],
  ["postqueue", postqueue],
  ["mailq", mailq],
  ["postsuper", postsuper],
  ["postcat", postcat],
  ["sendmail", sendmail],
  ["queue", queue],
  ["user", user],
  ["dkim", dkim],
  ["explain", explain],
  ["verify", verify],
  ["diff", diff],
]);

const USAGE = `Usage: postern [-c DIR] [-v] COMMAND [ARGS]

  start | start-fg | stop | abort | reload | status | check | flush | logrotate
  demo                 a complete server in var/demo, without root, DNS or questions
  user add LOGIN [--password-stdin] [--cram-md5] | passwd LOGIN | list [--json] | delete LOGIN
  explain --service NAME --client ADDRESS --from A --to B …     what the restrictions would say, and why
  explain --last [N] | explain ID                               why the server refused
  verify [--json] [--live]                                      who can send mail where, proven
  diff NEWDIR [--replay]                                        what the configuration there would change
  dkim generate DOMAIN | rotate DOMAIN | check | dns | list     signing keys, and what DNS must have; dkim help
  queue list | show | hold | release | requeue | delete | flush | pause | resume | inspect | shape      queue help
  postconf | postmap | postalias | newaliases | postqueue | postsuper | postcat | mailq | sendmail
                       as the Postfix programs of those names

DIR holds main.cf and master.cf; without -c it is $MAIL_CONFIG, else /etc/postern.
`;

/** A reader that has seen enough (`mailq | head`) is no error. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.done);
});

/** Runs one command line; resolves to the exit code. Called as `mailq`, the program name is the command. */
export async function main(argv: readonly string[], programName: string): Promise<number> {
  const options = parseGlobalOptions(argv);
  const byName = COMMANDS.has(programName) ? programName : undefined;
  const terminal = makeTerminal(byName === undefined ? options : parseGlobalOptions([]));
  const name = byName ?? options.rest[0];
  const args = byName === undefined ? options.rest.slice(1) : argv;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    terminal.stdout(USAGE);
    return name === undefined ? EXIT.usage : EXIT.done;
  }
  const command = COMMANDS.get(name);
  if (!command) return failed(terminal, name, "unknown command; see: postern help", EXIT.usage);
  try {
    return await command(args, terminal);
  } catch (error) {
    const text = options.verbose && error instanceof Error ? error.stack : (error as Error).message;
    return failed(terminal, name, text ?? String(error), exitCodeOf(error));
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof TryAgainError) return EXIT.tryAgain;
  if (error instanceof DeniedError) return EXIT.notPermitted;
  return error instanceof NotRunningError ? EXIT.notRunning : EXIT.problems;
}

interface GlobalOptions {
  readonly configDirectory: string | undefined;
  readonly verbose: boolean;
  readonly rest: readonly string[];
}

function parseGlobalOptions(argv: readonly string[]): GlobalOptions {
  let configDirectory: string | undefined;
  let verbose = false;
  let at = 0;
  for (; at < argv.length; at++) {
    if (argv[at] === "-v") verbose = true;
    else if (argv[at] === "-c") configDirectory = argv[++at];
    else break;
  }
  return { configDirectory, verbose, rest: argv.slice(at) };
}

async function askLine(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}

function makeTerminal(options: GlobalOptions): Terminal {
  return {
    // biome-ignore lint/complexity/useLiteralKeys: index signature access is required by the compiler options
    configDirectory: options.configDirectory ?? process.env["MAIL_CONFIG"] ?? "/etc/postern",
    verbose: options.verbose,
    // https://no-color.org
    // biome-ignore lint/complexity/useLiteralKeys: index signature access is required by the compiler options
    colours: process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    stdin: () => readText(process.stdin),
    ask: process.stdin.isTTY === true ? askLine : undefined,
  };
}
