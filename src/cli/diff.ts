/** cli/diff.ts: `postern diff NEWDIR`: what the configuration in NEWDIR would change if it took the place of the one in use.
 *  Nothing is changed by asking. With
 *  --replay also which recent decisions it would have made otherwise. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { formatProblem } from "../config/check.ts";
import { ParameterError } from "../config/declare.ts";
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import type { RecordedDecision } from "../decisions/decision.ts";
import { readDecisions } from "../decisions/store.ts";
import type { CheckOptions } from "../master/check.ts";
import { type Candidate, comparePreview, loadCandidate, type Preview } from "../master/preview.ts";
import { type Replay, type ReplayInput, replayDecisions } from "../master/replay.ts";
import { formatPreview } from "./diff-format.ts";
import { type Look, wrap } from "./explain-format.ts";
import { formatReplay, replayJson } from "./replay-format.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const USAGE = "usage: postern [-c DIR] diff NEWDIR [--replay [--ask]] [--json]\n";

const OPTIONS = {
  replay: { type: "boolean" },
  ask: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** 77: the decisions may not be read. 0: NEWDIR can be used, whatever it changes; 1: it has errors; 78: there is nothing readable to compare with. */
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
  const readers = readersOf(terminal);
  const before = await loadCandidate(readers);
  if (!before.snapshot) return unreadable(terminal, terminal.configDirectory, before.problems);
  const after = await loadCandidate(readers, resolve(directory));
  if (!after.snapshot) {
    unreadable(terminal, directory, after.problems);
    return EXIT.problems;
  }
  const decisions = values.replay ? await storedDecisions(before.snapshot) : undefined;
  if (decisions && "error" in decisions) return failed(terminal, "diff", decisions.error, EXIT.notPermitted);
  const preview = await comparePreview(before, after);
  const errors = errorsOf(after).length;
  const { pairs } = preview.services;
  const configurations = { before: before.snapshot, after: after.snapshot, pairs, ask: values.ask === true };
  const replay = decisions && (await replayStored({ ...configurations, decisions }));
  const { borrowed } = after;
  terminal.stdout(
    values.json
      ? toJson(preview, { errors, borrowed, replay })
      : toText(preview, { errors, borrowed, replay, look: terminal }),
  );
  return errors > 0 ? EXIT.problems : EXIT.done;
};

function readersOf({ configDirectory }: Terminal): CheckOptions {
  return {
    configDirectory: resolve(configDirectory),
    hostname: hostname(),
    mailVersion: VERSION,
    readFile: async (path) => readFileSync(path),
    listDirectory: async (path) => readdirSync(path),
    modifiedMs: async (path) => statSync(path).mtimeMs,
  };
}

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

type Replayed = Replay | { readonly error: string };

/** They lie where the configuration in use keeps them. */
async function storedDecisions(
  snapshot: ConfigSnapshot,
): Promise<readonly RecordedDecision[] | { readonly error: string }> {
  const params = scopeOf(snapshot);
  const directory = params.get("data_directory");
  try {
    return await readDecisions(directory, params.get("postern_decision_log_limit"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    return { error: `decisions in ${directory}: permission denied; run it as the account that starts the server` };
  }
}

async function replayStored(input: Omit<ReplayInput, "surroundings">): Promise<Replayed> {
  try {
    return await replayDecisions({ ...input, surroundings: { hostsText: readFileSync("/etc/hosts", "latin1") } });
  } catch (error) {
    // Such a value is among the errors already.
    if (error instanceof ParameterError) return { error: error.message };
    throw error;
  }
}

interface Findings {
  readonly errors: number;
  readonly borrowed: readonly string[];
  readonly replay: Replayed | undefined;
}

function toText(preview: Preview, { errors, borrowed, replay, look }: Findings & { readonly look: Look }): string {
  const text = formatPreview(preview, errors, look) || "no change in meaning\n";
  const replayed = replay ? `${text.endsWith("\n\n") ? "" : "\n"}${showReplay(replay, look)}` : "";
  const taken = `Not in the new directory, so taken as they are here: ${borrowed.join(", ")}`;
  return text + replayed + (borrowed.length > 0 ? wrap(taken, "  ", "") : "");
}

function showReplay(replay: Replayed, look: Look): string {
  if ("error" in replay) return `Recent decisions\n${wrap(`cannot be replayed: ${replay.error}`, "    ", "  ")}\n`;
  return formatReplay(replay, look);
}

function toJson({ services, ...rest }: Preview, { errors, borrowed, replay }: Findings): string {
  const { added, removed, changed } = services;
  const answer = {
    services: { added, removed, changed: changed.map(({ pair, fields }) => ({ service: pair.after.name, fields })) },
    ...rest,
    borrowed,
    errors,
    ...(replay && { replay: "error" in replay ? replay : replayJson(replay) }),
  };
  return `${JSON.stringify(answer, undefined, 2)}\n`;
}
