/** dkim/signing-file.ts: the file of $postern_dkim_signing_file: which keys sign for which domains. One key a line:
 *
 *    domain  selector  key-file  [publish | sign | retired]
 *
 *  `.domain` also signs for its subdomains. Several keys of a domain all sign. "publish": in DNS, does not sign yet;
 *  "retired": signs no more, stays in DNS while mail that it signed is under way. # begins a comment. */
import { domainToASCII } from "node:url";

export type KeyState = "publish" | "sign" | "retired";

export interface SigningLine {
  /** A-labels, lower case, no dot in front. */
  readonly domain: string;
  readonly subdomains: boolean;
  readonly selector: string;
  /** As written. */
  readonly keyFile: string;
  readonly state: KeyState;
  /** From 1. */
  readonly line: number;
}

export interface SigningFile {
  readonly lines: readonly SigningLine[];
  readonly problems: readonly { readonly line: number; readonly text: string }[];
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const STATES: ReadonlySet<string> = new Set(["publish", "sign", "retired"]);

/** Never throws: a line that is wrong is a problem, and the others count. */
export function parseSigningFile(text: string): SigningFile {
  const lines: SigningLine[] = [];
  const problems: { line: number; text: string }[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const words = raw.replace(/(?:^|\s)#.*$/, "").trim();
    if (words === "") continue;
    const parsed = parseLine(words.split(/\s+/), i + 1);
    if ("problem" in parsed) problems.push({ line: i + 1, text: parsed.problem });
    else lines.push(parsed);
  }
  return { lines, problems };
}

function parseLine(words: readonly string[], line: number): SigningLine | { readonly problem: string } {
  const [name = "", selector = "", keyFile, state = "sign", ...rest] = words;
  if (keyFile === undefined || rest.length > 0) {
    return { problem: "want: domain selector key-file [publish | sign | retired]" };
  }
  const subdomains = name.startsWith(".");
  const domain = domainToASCII(subdomains ? name.slice(1) : name)
    .toLowerCase()
    .replace(/\.$/, "");
  if (!isName(domain) || !domain.includes(".")) return { problem: `"${name}" is no domain name` };
  if (!isName(selector.toLowerCase())) return { problem: `"${selector}" is no selector: letters, digits, "-" and "."` };
  if (!STATES.has(state)) return { problem: `"${state}": want publish, sign or retired` };
  return { domain, subdomains, selector: selector.toLowerCase(), keyFile, state: state as KeyState, line };
}

function isName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => LABEL.test(label));
}

/** Finds what signs for a domain: what names it, else what is of its nearest parent and for subdomains. `lineOf`: an item's line. */
export function indexLines<T>(items: readonly T[], lineOf: (item: T) => SigningLine): (domain: string) => readonly T[] {
  const named = new Map<string, T[]>();
  const above = new Map<string, T[]>();
  for (const item of items) {
    const { domain, subdomains, state } = lineOf(item);
    if (state !== "sign") continue;
    named.set(domain, [...(named.get(domain) ?? []), item]);
    if (subdomains) above.set(domain, [...(above.get(domain) ?? []), item]);
  }
  return (domain) => {
    let found = named.get(domain);
    for (let dot = domain.indexOf("."); !found && dot >= 0; dot = domain.indexOf(".", dot + 1)) {
      found = above.get(domain.slice(dot + 1));
    }
    return found ?? [];
  };
}

/** The lines that sign for a domain. */
export function linesFor(domain: string, lines: readonly SigningLine[]): readonly SigningLine[] {
  return indexLines(lines, (line) => line)(domain);
}

/** The text with these lines at its end. */
export function addLines(text: string, lines: readonly string[]): string {
  const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return `${whole}${lines.join("\n")}\n`;
}

/** The text with other states on some lines, by their number; comments and blanks stay. */
export function changeStates(text: string, states: ReadonlyMap<number, KeyState>): string {
  return text
    .split("\n")
    .map((line, i) => {
      const state = states.get(i + 1);
      if (state === undefined) return line;
      const comment = /\s+#.*$/.exec(line)?.[0] ?? "";
      const words = line.slice(0, line.length - comment.length).trimEnd();
      const bare = words.replace(/\s+(?:publish|sign|retired)$/, "");
      return `${bare}${state === "sign" ? "" : ` ${state}`}${comment}`;
    })
    .join("\n");
}
