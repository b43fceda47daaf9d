/** cli/diff.ts: `postern diff NEWDIR`: what the configuration in NEWDIR would change if it took the place of the one in use.
 *  Nothing is changed by asking. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { formatProblem } from "../config/check.ts";
import type { Problem } from "../config/snapshot.ts";
import { type Candidate, comparePreview, loadCandidate } from "../master/preview.ts";
import { formatPreview } from "./diff-format.ts";
import { wrap } from "./explain-format.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const USAGE = "usage: postern [-c DIR] diff NEWDIR [--json]\n";

const OPTIONS = { json: { type: "boolean" }, help: { type: "boolean" } } as const;

/** 0: NEWDIR can be used, whatever it changes; 1: it has errors; 78: there is nothing readable to compare with. */
export const diff: Command = async (args, terminal) => {
  const parsed = parse(args);
  if ("error" in parsed) return failed(terminal, "diff", parsed.error, EXIT.usage);
  const { values, directory } = parsed;
  if (values.help) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    return failed(terminal, "diff", `${directory}: no such directory`, EXIT.usage);
  }
  const options = {
    configDirectory: resolve(terminal.configDirectory),
    hostname: hostname(),
    mailVersion: VERSION,
    readFile: async (path: string) => readFileSync(path),
    listDirectory: async (path: string) => readdirSync(path),
    modifiedMs: async (path: string) => statSync(path).mtimeMs,
  };
  const before = await loadCandidate(options);
  if (!before.snapshot) return unreadable(terminal, terminal.configDirectory, before.problems);
  const after = await loadCandidate(options, resolve(directory));
  if (!after.snapshot) {
    unreadable(terminal, directory, after.problems);
    return EXIT.problems;
  }
  if (values.json) await writeJson(before, after, terminal);
  else await write(before, after, terminal);
  return errorsOf(after).length > 0 ? EXIT.problems : EXIT.done;
};

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const [directory, more] = positionals;
    if (more !== undefined) return { error: `unexpected argument "${more}"` };
    if (directory === undefined && !values.help) return { error: "which directory? postern diff NEWDIR" };
    return { values, directory: directory ?? "" };
  } catch (error) {
    return { error: `${(error as Error).message.split(". ")[0]}; see: postern diff --help` };
  }
}

function unreadable(terminal: Terminal, directory: string, problems: readonly Problem[]): number {
  for (const problem of problems) terminal.stderr(`${formatProblem(problem)}\n`);
  return failed(terminal, "diff", `${directory}: the configuration cannot be read`, EXIT.configuration);
}

function errorsOf({ problems }: Candidate): readonly Problem[] {
  return problems.filter(({ severity }) => severity === "error");
}

async function write(before: Candidate, after: Candidate, terminal: Terminal): Promise<void> {
  const preview = await comparePreview(before, after);
  terminal.stdout(formatPreview(preview, errorsOf(after).length, terminal) || "no change in meaning\n");
  if (after.borrowed.length === 0) return;
  const text = `Not in the new directory, so taken as they are here: ${after.borrowed.join(", ")}`;
  terminal.stdout(wrap(text, "  ", ""));
}

async function writeJson(before: Candidate, after: Candidate, terminal: Terminal): Promise<void> {
  const { services, ...rest } = await comparePreview(before, after);
  const { added, removed, changed } = services;
  const answer = {
    services: { added, removed, changed: changed.map(({ pair, fields }) => ({ service: pair.after.name, fields })) },
    ...rest,
    borrowed: after.borrowed,
    errors: errorsOf(after).length,
  };
  terminal.stdout(`${JSON.stringify(answer, undefined, 2)}\n`);
}
