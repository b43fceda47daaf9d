/** cli/main.ts: the command line of design §12: `postern [-c DIR] [-v] COMMAND [ARGS]`; Postfix's program names work too. */

import { createInterface } from "node:readline/promises";
import { text as readText } from "node:stream/consumers";
import { DeniedError, TryAgainError } from "../net/control-socket.ts";
import { NotRunningError } from "./not-running.ts";
import { plainCommand } from "./plain-command.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

/** Each is loaded when it is called: a `sendmail` that is started for every message needs little of all this. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map<string, () => Promise<Command>>([
  ["start", async () => plainCommand("start", (await import("./server-commands.ts")).start)],
  ["start-fg", async () => plainCommand("start-fg", (await import("./server-commands.ts")).startForeground)],
  ["stop", async () => plainCommand("stop", (await import("./server-commands.ts")).stop)],
  ["abort", async () => plainCommand("abort", (await import("./server-commands.ts")).abort)],
  ["reload", async () => plainCommand("reload", (await import("./server-commands.ts")).reload)],
  ["status", async () => plainCommand("status", (await import("./server-commands.ts")).status)],
  ["check", async () => plainCommand("check", (await import("./check.ts")).runCheck)],
  ["flush", async () => plainCommand("flush", (await import("./server-commands.ts")).flush)],
  ["logrotate", async () => plainCommand("logrotate", (await import("./logrotate.ts")).logrotate)],
  ["demo", async () => plainCommand("demo", (await import("./demo.ts")).runDemo)],
  ["postconf", async () => (await import("./config-commands.ts")).postconf],
  ["postmap", async () => (await import("./table-commands.ts")).postmap],
  ["postalias", async () => (await import("./table-commands.ts")).postalias],
  ["newaliases", async () => (await import("./table-commands.ts")).newaliases],
  ["postqueue", async () => (await import("./queue-commands.ts")).postqueue],
  ["mailq", async () => (await import("./queue-commands.ts")).mailq],
  ["postsuper", async () => (await import("./postsuper.ts")).postsuper],
  ["postcat", async () => (await import("./queue-commands.ts")).postcat],
  ["sendmail", async () => (await import("./sendmail.ts")).sendmail],
  ["queue", async () => (await import("./queue.ts")).queue],
  ["user", async () => (await import("./config-commands.ts")).user],
  ["dkim", async () => (await import("./dkim.ts")).dkim],
  ["autoconfig", async () => (await import("./autoconfig.ts")).autoconfig],
  ["dns", async () => (await import("./dns.ts")).dns],
  ["trace", async () => (await import("./trace.ts")).trace],
  ["explain", async () => (await import("./explain.ts")).explain],
  ["selftest", async () => (await import("./selftest.ts")).selftest],
  ["verify", async () => (await import("./verify.ts")).verify],
  ["diff", async () => (await import("./diff.ts")).diff],
]);

const USAGE = `Usage: postern [-c DIR] [-v] COMMAND [ARGS]

  start | start-fg | stop | abort | reload | status | check | flush | logrotate
  demo                 a complete server in var/demo, without root, DNS or questions
  user add LOGIN [--password-stdin] [--cram-md5] | passwd LOGIN | list [--json] | delete LOGIN
  explain --service NAME --client ADDRESS --from A --to B …     what the restrictions would say, and why
  explain --last [N] | explain ID                               why the server refused
  trace QUEUEID [--json] [--log FILE]                           all that is known of one message
  verify [--json] [--live]                                      who can send mail where, proven
  selftest [--json] [--list] [ID…]                              what the standards ask, asked of a private copy
  diff NEWDIR [--replay]                                        what the configuration there would change
  dkim generate DOMAIN | rotate DOMAIN | check | dns | list     signing keys, and what DNS must have; dkim help
  dns check DOMAIN                                              what DNS must have, and what it lacks
  autoconfig DOMAIN [--live]                                    documents by which mail programs set up accounts
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
  if (options === undefined) {
    process.stderr.write("postern: -c: which directory? see: postern help\n");
    return EXIT.usage;
  }
  const byName = COMMANDS.has(programName) ? programName : undefined;
  const terminal = makeTerminal(byName === undefined ? options : NO_OPTIONS);
  const name = byName ?? options.rest[0];
  const args = byName === undefined ? options.rest.slice(1) : argv;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    terminal.stdout(USAGE);
    return name === undefined ? EXIT.usage : EXIT.done;
  }
  const load = COMMANDS.get(name);
  if (!load) return failed(terminal, name, "unknown command; see: postern help", EXIT.usage);
  try {
    const command = await load();
    return await command(args, terminal);
  } catch (error) {
    const text = options.verbose && error instanceof Error ? error.stack : textOf(error as Error);
    return failed(terminal, name, text ?? String(error), exitCodeOf(error));
  }
}

/** A file that who runs the command may not read or write. */
function isForbidden({ code }: NodeJS.ErrnoException): boolean {
  return code === "EACCES" || code === "EPERM";
}

function textOf(error: NodeJS.ErrnoException): string {
  if (!isForbidden(error) || error.path === undefined) return error.message;
  return `${error.path}: permission denied; run it as root`;
}

/** By name: their files would be loaded for every command. What they say is wrong with main.cf or master.cf. */
const CONFIGURATION_ERRORS: ReadonlySet<string> = new Set(["StartError", "ParameterError"]);

function exitCodeOf(error: unknown): number {
  if (error instanceof Error && CONFIGURATION_ERRORS.has(error.name)) return EXIT.configuration;
  if (error instanceof TryAgainError) return EXIT.tryAgain;
  if (error instanceof DeniedError || isForbidden(error as NodeJS.ErrnoException)) return EXIT.notPermitted;
  return error instanceof NotRunningError ? EXIT.notRunning : EXIT.problems;
}

interface GlobalOptions {
  readonly configDirectory: string | undefined;
  readonly verbose: boolean;
  readonly rest: readonly string[];
}

const NO_OPTIONS: GlobalOptions = { configDirectory: undefined, verbose: false, rest: [] };

/** undefined: -c without a directory. */
function parseGlobalOptions(argv: readonly string[]): GlobalOptions | undefined {
  let configDirectory: string | undefined;
  let verbose = false;
  let at = 0;
  for (; at < argv.length; at++) {
    if (argv[at] === "-v") verbose = true;
    else if (argv[at] !== "-c") break;
    else if (++at < argv.length) configDirectory = argv[at];
    else return undefined;
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
