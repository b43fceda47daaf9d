/** cli/plain-command.ts: the commands that take no arguments. What they are asked with `--help`, or with a word too much, they must not
 *  do: `postern stop --help` stops nothing. */
import { type Command, EXIT, failed } from "./terminal.ts";

/** What each does, for its `--help`. */
export const PLAIN_COMMANDS = {
  start: "Starts the server in the background, and waits until it is ready or has said why not.",
  "start-fg": 'Runs the server in the foreground, until SIGTERM or SIGINT; SIGHUP reloads. It prints "postern: ready".',
  stop: "Stops the server: sessions and deliveries may come to their end first.",
  abort: "Stops the server at once. Mail that was accepted stays in the queue.",
  reload: "Lets the server read its configuration anew; it keeps the old one if the new one has errors.",
  status: "Tells whether the server runs, with its processes. Exit 1: it does not.",
  check: "Tells all that is wrong with the configuration, with file and line. Exit 1: there are errors.",
  flush: "Tries to deliver all mail that waits, now.",
  logrotate: "Puts the log file aside and begins a new one, as `postfix logrotate` does.",
  demo: "Runs a complete server in var/demo, without root, DNS or questions, and shows what it does.",
} as const;

/** Words that a command may have all the same: `start` gives this one to `start-fg`. */
const INTERNAL: ReadonlySet<string> = new Set(["--background"]);

export function plainCommand(name: keyof typeof PLAIN_COMMANDS, run: Command): Command {
  return async (args, terminal) => {
    if (args.includes("--help") || args.includes("-h")) {
      terminal.stdout(`Usage: postern [-c DIR] ${name}\n\n${PLAIN_COMMANDS[name]}\n`);
      return EXIT.done;
    }
    const [surplus] = args.filter((word) => !(name === "start-fg" && INTERNAL.has(word)));
    if (surplus === undefined) return run(args, terminal);
    return failed(terminal, name, `unexpected argument "${surplus}"; see: postern ${name} --help`, EXIT.usage);
  };
}
