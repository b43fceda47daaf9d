/** cli/diff-format.ts: the preview of a configuration change in groups (services, parameters, tables, problems, how it is
 *  applied), at most 100 columns wide. What does not change is not mentioned. */
import { formatProblem } from "../config/check.ts";
import type { EffectiveValue, ParameterChange } from "../config/compare-parameters.ts";
import type { ServiceComparison } from "../config/compare-services.ts";
import type { ServiceEntry, SourceRef } from "../config/snapshot.ts";
import type { FileChange, Preview } from "../master/preview.ts";
import type { TextComparison, TextEntry } from "../tables/compare-text.ts";
import { wrap } from "./explain-format.ts";

const WIDTH = 100;
/** Of each table this many entries are shown. */
const SHOWN_ENTRIES = 5;

/** "" when nothing changes in meaning. `errors`: so many in the new configuration keep it from being used. */
export function formatPreview(preview: Preview, errors: number): string {
  return [
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
  const effective = parameters.filter(({ effect }) => effect);
  const changes = effective.length + files.length + services.added.length + services.removed.length;
  const byReload = changes + services.changed.length - restart.length > 0;
  const lines: string[] = [];
  if (restart.length > 0) lines.push(wrap(`${restart.join(", ")}: stop and start`, "    ", "  "));
  if (byReload) {
    const what = restart.length > 0 ? "the rest" : "all of it";
    lines.push(wrap(`postern reload applies ${what}; open sessions end under the old configuration`, "    ", "  "));
  }
  const sockets = [
    ...(opens.length > 0 ? [`opens ${opens.join(", ")}`] : []),
    ...(closes.length > 0 ? [`closes ${closes.join(", ")}`] : []),
  ];
  if (sockets.length > 0) lines.push(wrap(sockets.join("; "), "    ", "  "));
  return lines;
}
