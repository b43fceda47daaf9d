/** config/master-cf.ts: service lines of master.cf (master(5)): eight fields, then the command's options and arguments.
 *  Only syntax: whether the command exists, and what the options mean, is check's to say. Options are service-options.ts. */
import { isTransparent, type LogicalLine, lineAt, physicalLines, readLogicalLines } from "./logical-lines.ts";
import { readServiceOptions, type Word } from "./service-options.ts";
import type { Problem, ServiceEntry, ServiceType, SourceRef } from "./snapshot.ts";

const TYPES: readonly ServiceType[] = ["inet", "unix", "fifo", "pass", "unix-dgram"];
const FIELDS = ["service", "transport", "private", "unprivileged", "chroot", "wakeup time", "process limit", "command"];

/** Thrown for one bad line, with Postfix's words; turned into a Problem of that line. */
class ServiceLineError extends Error {
  override readonly name = "ServiceLineError";
}

/** Services in file order; of two with the same name and type the last one stands. */
export function parseMasterCf(
  input: string | Uint8Array,
  file: string,
): { readonly services: readonly ServiceEntry[]; readonly problems: readonly Problem[] } {
  const { lines, problems: lineProblems } = readLogicalLines(input, file);
  const problems = [...lineProblems];
  const services = new Map<string, ServiceEntry>();
  const physical = physicalLines(input);
  for (const logical of lines) {
    const at = { file, line: logical.line };
    try {
      const service = parseServiceLine(logical, at, problems);
      problems.push(...orphanedOptions(logical, service, physical));
      const key = `${service.name}/${service.type}`;
      const earlier = services.get(key);
      if (earlier) {
        const text = `duplicate master.cf entry for service "${service.name}" (${earlier.at.line}) -- using the last entry`;
        problems.push({ severity: "warning", at, text });
        services.delete(key);
      }
      services.set(key, service);
    } catch (error) {
      if (!(error instanceof ServiceLineError)) throw error;
      const hint = logical.text.startsWith("-") ? "options of a service begin with white space" : undefined;
      problems.push({ severity: "error", at, text: error.message, ...(hint !== undefined && { hint }) });
    }
  }
  return { services: [...services.values()], problems };
}

function parseServiceLine(logical: LogicalLine, at: SourceRef, problems: Problem[]): ServiceEntry {
  const words = splitWords(logical.text);
  const field = (index: number): string => {
    const word = words[index];
    if (!word) throw new ServiceLineError(`missing "${FIELDS[index]}" field`);
    return word.text;
  };
  const name = field(0);
  const type = TYPES.find((known) => known === field(1));
  if (!type) throw new ServiceLineError(`bad transport type: ${field(1)}`);
  const switches = {
    private: flag(field(2), "private", true),
    unprivileged: flag(field(3), "unprivileged", true),
    chroot: flag(field(4), "chroot", false), // nothing here runs in a chroot jail, whatever the compatibility level
  };
  const wakeup = count(field(5).replace(/\?$/, ""), "wakeup time") ?? 0;
  const maxproc = count(field(6), "process limit");
  const command = field(7);
  const options = readServiceOptions(words.slice(8), {
    command,
    at: (word) => ({ file: at.file, line: lineAt(logical, word.offset) }),
    problems,
  });
  const fields = words.slice(0, 7).map((word) => word.text);
  return { name, type, ...switches, wakeup, maxproc, command, ...options, fields, at };
}

function flag(text: string, name: string, byDefault: boolean): boolean {
  if (text === "-") return byDefault;
  if (text === "y") return true;
  if (text === "n") return false;
  throw new ServiceLineError(`field "${name}": bad value: "${text}"`);
}

/** undefined for `-`. */
function count(text: string, name: string): number | undefined {
  if (text === "-") return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new ServiceLineError(`field "${name}": bad value: "${text}"`);
  return Number(text);
}

/** Words at white space; from the ninth on `{ … }` protects blanks and is stripped. */
function splitWords(text: string): Word[] {
  const words: Word[] = [];
  const word = /\S+/g;
  for (let match = word.exec(text); match; match = word.exec(text)) {
    const offset = match.index;
    if (words.length < 8 || text[offset] !== "{") {
      words.push({ text: match[0], offset, braced: false });
      continue;
    }
    const end = closingBrace(text, offset);
    if (end < 0) throw new ServiceLineError(`missing '}' in "${text.slice(offset, offset + 30)}"`);
    if (/\S/.test(text[end + 1] ?? " "))
      throw new ServiceLineError(`syntax error after '}' in "${text.slice(offset, offset + 30)}"`);
    words.push({ text: text.slice(offset + 1, end).trim(), offset, braced: true });
    word.lastIndex = end + 1;
  }
  return words;
}

function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  return -1;
}

const COMMENTED_SERVICE =
  /^[ \t]*#[ \t]*(\S+)[ \t]+(?:inet|unix|fifo|pass|unix-dgram)[ \t]+[yn-][ \t]+[yn-][ \t]+[yn-][ \t]/;

/** Live `-o` lines under a service line that is a comment go to the service above: comments end nothing. */
function orphanedOptions(logical: LogicalLine, service: ServiceEntry, physical: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  let before = logical.line;
  for (const part of logical.parts.slice(1)) {
    const text = physical[part.line - 1] ?? "";
    for (let line = before + 1; line < part.line && text.trimStart().startsWith("-"); line++) {
      const comment = physical[line - 1] ?? "";
      const name = isTransparent(comment) ? COMMENTED_SERVICE.exec(comment)?.[1] : undefined;
      if (name === undefined) continue;
      problems.push({
        severity: "warning",
        at: { file: service.at.file, line: part.line },
        text: `these options belong to service "${service.name}" of line ${service.at.line}, because the line of "${name}" is a comment`,
        hint: `make line ${line} live, or comment out the option lines below it`,
      });
    }
    before = part.line;
  }
  return problems;
}
