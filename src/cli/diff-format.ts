/** cli/diff-format.ts: the preview of a configuration change in groups (services, parameters, tables, problems, how it is
 *  applied), at most 100 columns wide. What does not change is not mentioned. */
import { formatProblem } from "../config/check.ts";
import type { EffectiveValue, ParameterChange } from "../config/compare-parameters.ts";
import type { ServiceComparison } from "../config/compare-services.ts";
import type { ServiceEntry, SourceRef } from "../config/snapshot.ts";
import type { FileChange, Preview } from "../master/preview.ts";
import type { RelayChange } from "../proof/compare.ts";
import type { TextComparison, TextEntry } from "../tables/compare-text.ts";
import { type Look, paint, wrap } from "./explain-format.ts";

const WIDTH = 100;
/** Of each table this many entries are shown. */
const SHOWN_ENTRIES = 5;

/** "" when nothing changes in meaning. `errors`: so many in the new configuration keep it from being used. */
export function formatPreview(preview: Preview, errors: number, look: Look): string {
  return [
    group("Who can send where", formatRelays(preview.relays, look)),
    group("Services", formatServices(preview.services)),
    group("Parameters", preview.parameters.filter(({ effect }) => effect).map(formatParameter)),
    group("Tables and files", preview.files.map(formatFile)),
    group("Problems", formatProblems(preview)),
    group("To apply", errors > 0 ? [formatErrors(errors)] : formatApply(preview)),
  ].join("");
}

/** A heading with its lines; "" without lines. */
function group(title: string, parts: readonly string[]): string {
  return parts.length === 0 ? "" : `${title}\n${parts.join("")}\n`;
}

const CLIENTS: Readonly<Record<RelayChange["client"], string>> = {
  stranger: "a stranger in clear text",
  strangerTls: "a stranger with TLS",
  certificate: "a client with a listed certificate",
  login: "who is logged in",
  mynetworks: "a client in mynetworks",
};
const DESTINATIONS: Readonly<Record<RelayChange["destination"], string>> = {
  foreign: "to foreign domains",
  named: "to foreign domains of access tables",
  relay: "to relay domains",
  local: "to local domains",
};

/** One line for all that changes alike for one client of one service. */
function formatRelays(changes: readonly RelayChange[], look: Look): string[] {
  const lines = new Map<string, { readonly first: RelayChange; readonly destinations: string[] }>();
  for (const change of changes) {
    const key = [change.service, change.client, change.before, change.after].join(" ");
    const line = lines.get(key);
    if (line) line.destinations.push(DESTINATIONS[change.destination]);
    else lines.set(key, { first: change, destinations: [DESTINATIONS[change.destination]] });
  }
  return [...lines.values()].map(({ first, destinations }) => {
    const { service, client, destination, before, after } = first;
    const text = `${service}: ${CLIENTS[client]} ${destinations.join(", ")}: ${before} -> `;
    // The first destination is the loudest of the line.
    const alarm = client.startsWith("stranger") && (destination === "foreign" || destination === "named");
    const word = alarm && after === "always" ? "ALWAYS" : after;
    return wrap(text + word, "    ", "  ").replace(
      /\w+\n$/,
      `${paint(word, alarm && after !== "never" ? 31 : undefined, look)}\n`,
    );
  });
}

function formatServices({ added, removed, changed }: ServiceComparison): string[] {
  return [
    ...added.map((service) => formatService("added", service)),
    ...removed.map((service) => formatService("removed", service)),
    ...changed.flatMap(({ pair, fields }) =>
      fields.map(({ field, before, after }) =>
        wrap(
          `${pair.after.name}: ${field} ${before} -> ${after} (${place(pair.after.at)})`,
          " ".repeat(13),
          "  changed    ",
        ),
      ),
    ),
  ];
}

function formatService(word: string, { name, type, command, maxproc, args, overrides, at }: ServiceEntry): string {
  const limit = maxproc === undefined || maxproc === 0 ? "" : `, process limit ${maxproc}`;
  const line = `${name} ${type} ${[command, ...args].join(" ")}${limit} (${place(at)})`;
  const options = overrides.map((option) =>
    wrap(`-o ${option.name} = ${option.value}`, " ".repeat(17), " ".repeat(15)),
  );
  return wrap(line, " ".repeat(13), `  ${word.padEnd(11)}`) + options.join("");
}

function formatParameter(change: ParameterChange): string {
  const { name, before, after } = change;
  const scope = scopeText(change);
  const line = `  ${name}: ${shown(before)} -> ${shown(after)} (${where(after)})${scope}`;
  if (line.length <= WIDTH) return `${line}\n`;
  const side = (sign: string, value: EffectiveValue) =>
    wrap(`${shown(value)} (${where(value)})`, " ".repeat(6), `    ${sign} `);
  return (
    wrap(`${name}${scope === "" ? "" : `:${scope.slice(1)}`}`, "    ", "  ") + side("-", before) + side("+", after)
  );
}

/** "" for all services. */
function scopeText({ general, services, except }: ParameterChange): string {
  if (!general) return `, ${services.join(", ")} only`;
  return except.length === 0 ? "" : `, all but ${except.join(", ")}`;
}

function shown({ text }: EffectiveValue): string {
  return text === "" ? "(empty)" : text;
}

function where({ at }: EffectiveValue): string {
  return at === undefined ? "default" : place(at);
}

function place(at: SourceRef): string {
  return `${at.file}:${at.line}`;
}

const FILE_WORDS: Readonly<Record<FileChange["kind"], string>> = {
  changed: "changed",
  added: "newly read",
  removed: "no longer read",
  unread: "cannot be read on one side: not compared",
};

function formatFile({ path, parameter, kind, entries }: FileChange): string {
  const counts = entries === undefined ? "" : `: ${countsOf(entries, kind)}`;
  const head = wrap(`${path} (${parameter}), ${FILE_WORDS[kind]}${counts}`, "    ", "  ");
  return entries === undefined || kind !== "changed" ? head : head + formatEntries(entries);
}

function countsOf({ added, removed, changed, reordered }: TextComparison, kind: FileChange["kind"]): string {
  if (kind !== "changed") return entriesText(added.length + removed.length);
  const counts = [
    ...(added.length > 0 ? [`${added.length} added`] : []),
    ...(removed.length > 0 ? [`${removed.length} removed`] : []),
    ...(changed.length > 0 ? [`${changed.length} changed`] : []),
    ...(reordered ? ["another order"] : []),
  ];
  return counts.join(", ");
}

function entriesText(count: number): string {
  return count === 1 ? "1 entry" : `${count} entries`;
}

function formatEntries({ added, removed, changed }: TextComparison): string {
  const one = (sign: string, { line, key, value }: TextEntry) =>
    wrap(`${line}: ${key} ${value}`, "      ", `    ${sign} `);
  const lines = [
    ...changed.map(({ before, after }) =>
      wrap(`${after.line}: ${after.key}: ${before.value} -> ${after.value}`, "      ", "    ~ "),
    ),
    ...removed.map((entry) => one("-", entry)),
    ...added.map((entry) => one("+", entry)),
  ];
  const more = lines.length - SHOWN_ENTRIES;
  return lines.slice(0, SHOWN_ENTRIES).join("") + (more > 0 ? `    … and ${more} more\n` : "");
}

function formatProblems({ problems }: Preview): string[] {
  return [
    ...problems.added.map((problem) => wrap(formatProblem(problem), " ".repeat(9), "  new    ")),
    ...problems.removed.map((problem) => wrap(formatProblem(problem), " ".repeat(9), "  gone   ")),
  ];
}

function formatErrors(errors: number): string {
  const counted = errors === 1 ? "1 error" : `${errors} errors`;
  return `  the new configuration has ${counted}: start and reload refuse it; see: postern -c NEWDIR check\n`;
}

function formatApply({ services, parameters, files, opens, closes }: Preview): string[] {
  const restart = [...new Set(parameters.filter((change) => change.restart).map(({ name }) => name))];
  const reloaded = parameters.filter((change) => change.effect && !change.restart);
  const byReload = reloaded.length + services.added.length + services.removed.length + services.changed.length > 0;
  const lines: string[] = [];
  if (restart.length > 0) lines.push(wrap(`${restart.join(", ")}: stop and start`, "    ", "  "));
  if (byReload) {
    const what = restart.length > 0 ? "the rest" : "all of it";
    lines.push(wrap(`postern reload applies ${what}; open sessions end under the old configuration`, "    ", "  "));
  }
  if (files.length > 0 && !byReload) lines.push("  a running server notices changed tables and files by itself\n");
  const sockets = [
    ...(opens.length > 0 ? [`opens ${opens.join(", ")}`] : []),
    ...(closes.length > 0 ? [`closes ${closes.join(", ")}`] : []),
  ];
  if (sockets.length > 0) lines.push(wrap(sockets.join("; "), "    ", "  "));
  return lines;
}
