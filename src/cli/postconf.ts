/** cli/postconf.ts: postconf(1): prints parameters and service lines as Postfix does. Values are printed as they are
 *  written, without expansion, unless -x is given. It changes nothing: files are edited by their owner. */
import { resolve } from "node:path";
import { checkNames, unusedNames } from "../config/check-names.ts";
import { ParameterError, Parameters } from "../config/parameters.ts";
import { POSTFIX_NAMES } from "../config/postfix-names.ts";
import { type ParameterName, REGISTRY } from "../config/registry.ts";
import { scopeOf } from "../config/scope.ts";
import type { ConfigSnapshot, Problem, ServiceEntry } from "../config/snapshot.ts";
import { TABLE_TYPES } from "../tables/open.ts";
import { type PostconfOptions, PostconfUsageError, parsePostconfOptions } from "./postconf-options.ts";
import { printTemplates } from "./postconf-templates.ts";

export interface PostconfIo {
  /** Where the files are that are read without -c. */
  readonly configDirectory: string;
  /** Reads a configuration; `directory` is -c, undefined for the default one. */
  readonly snapshotFor: (
    directory: string | undefined,
  ) => Promise<{ readonly snapshot: ConfigSnapshot | undefined; readonly problems: readonly Problem[] }>;
  readonly readFile: (path: string) => Promise<Uint8Array>;
  /** Takes whole lines, line ends included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** `argv` without the program's name. Exit code as Postfix: 0, also for unknown names, which are warned of; 1 when fatal. */
export async function runPostconf(argv: readonly string[], io: PostconfIo): Promise<number> {
  try {
    const options = parsePostconfOptions(argv);
    if (options.mode === "tables") {
      print(io, [...TABLE_TYPES].sort());
      return 0;
    }
    const { snapshot, problems } = await io.snapshotFor(options.directory);
    if (options.values === "defaults" && options.mode === "parameters") {
      printDefaults(snapshot, options, io);
      return 0;
    }
    const fatal = reportSyntax(problems, { directory: options.directory ?? io.configDirectory, options, io });
    if (fatal || !snapshot) return 1;
    if (options.mode === "services") printServices(snapshot, options, io);
    else if (options.mode === "overrides") printOverrides(snapshot, options, io);
    else if (options.mode === "templates" || options.mode === "expandedTemplates") {
      await printTemplates({ snapshot, params: scopeWith(snapshot, options) }, options, io);
    } else printParameters(snapshot, options, io);
    if (/^(?:parameters|services|overrides)$/.test(options.mode)) warnOfNames(snapshot, options, io);
    return 0;
  } catch (error) {
    if (!(error instanceof PostconfUsageError) && !(error instanceof ParameterError)) throw error;
    io.stderr(`postconf: fatal: ${error.message}\n`);
    return 1;
  }
}

function print(io: PostconfIo, lines: readonly string[]): void {
  if (lines.length > 0) io.stdout(`${lines.join("\n")}\n`);
}

function warn(io: PostconfIo, options: PostconfOptions, text: string): void {
  if (!options.quiet) io.stderr(`postconf: warning: ${text}\n`);
}

/** What the parsers found in the file that is shown; true if that is fatal. */
function reportSyntax(
  problems: readonly Problem[],
  {
    directory,
    options,
    io,
  }: { readonly directory: string; readonly options: PostconfOptions; readonly io: PostconfIo },
): boolean {
  const file = options.mode === "parameters" ? "main.cf" : "master.cf";
  let fatal = false;
  for (const { severity, at, text } of problems) {
    const place = at ? `${resolve(directory, at.file)}, line ${at.line}: ` : "";
    if (severity === "error") {
      io.stderr(`postconf: fatal: ${place}${text}\n`);
      fatal = true;
    } else if (at?.file === file) {
      warn(io, options, `${place}${text}`);
    }
  }
  return fatal;
}

function printDefaults(snapshot: ConfigSnapshot | undefined, options: PostconfOptions, io: PostconfIo): void {
  const builtins = snapshot?.builtins ?? new Map<string, string>();
  const overrides = options.overrides.map((override) => ({ ...override, at: { file: "-o", line: 1 } }));
  const params = new Parameters({ assignments: overrides, builtins });
  const names = options.names.length > 0 ? options.names : Object.keys(REGISTRY).sort();
  printNamed(names, { params, options, io });
}

function printParameters(snapshot: ConfigSnapshot, options: PostconfOptions, io: PostconfIo): void {
  const params = scopeWith(snapshot, options);
  const unused = unusedNames(snapshot);
  const used = snapshot.mainCf.filter(({ name }) => !unused.has(name));
  const set = new Set([...used, ...options.overrides].map(({ name }) => name));
  const all = options.values === "set" ? [...set] : [...new Set([...Object.keys(REGISTRY), ...set])];
  const asked = options.values === "set" ? options.names.filter((name) => set.has(name)) : options.names;
  const isUnknown = (name: string) => unused.has(name) || params.unexpanded(name) === undefined;
  const unknown = options.names.filter((name) => !set.has(name) && isUnknown(name));
  for (const name of unknown) warnUnknown(name, options, io);
  const named = asked.filter((name) => !unknown.includes(name));
  printNamed(options.names.length > 0 ? named : all.sort(), { params, options, io });
}

/** Of master.cf only where only that is shown. */
function warnOfNames(snapshot: ConfigSnapshot, options: PostconfOptions, io: PostconfIo): void {
  for (const { text, at } of checkNames(snapshot)) {
    if (at === undefined || !/^un(?:used|defined) parameter: /.test(text)) continue;
    if (options.mode !== "parameters" && at.file !== "master.cf") continue;
    warn(io, options, `${resolve(snapshot.configDirectory, at.file)}: ${text}`);
  }
}

function scopeWith(snapshot: ConfigSnapshot, options: PostconfOptions): Parameters {
  const overrides = options.overrides.map((override) => ({ ...override, at: { file: "-o", line: 1 } }));
  return scopeOf({ ...snapshot, mainCf: [...snapshot.mainCf, ...overrides] });
}

interface Printing {
  readonly params: Parameters;
  readonly options: PostconfOptions;
  readonly io: PostconfIo;
}

function printNamed(names: readonly string[], { params, options, io }: Printing): void {
  const lines: string[] = [];
  for (const name of names) {
    const written = params.unexpanded(name);
    if (written === undefined) warnUnknown(name, options, io);
    else lines.push(...entry(name, shownValue(params, name, written, options), options));
  }
  print(io, lines);
}

function warnUnknown(name: string, options: PostconfOptions, io: PostconfIo): void {
  const text =
    POSTFIX_NAMES.has(name) && !Object.hasOwn(REGISTRY, name) ? "parameter without effect here" : "unknown parameter";
  warn(io, options, `${name}: ${text}`);
}

function shownValue(params: Parameters, name: string, written: string, options: PostconfOptions): string {
  const raw = Object.hasOwn(REGISTRY, name) && REGISTRY[name as ParameterName].raw === true;
  return options.expand && !raw ? params.expand(written) : written;
}

function entry(name: string, value: string, options: PostconfOptions): readonly string[] {
  if (options.show === "names") return [name];
  const text = options.show === "values" ? value : `${name} = ${value}`;
  const words = text.split(/[ \t\r\n]+/).filter((word) => word !== "");
  return options.fold ? fold(words, LONGEST.parameter) : [words.join(" ")];
}

/** Characters of a line: those of main.cf may have one more. */
const LONGEST = { parameter: 80, service: 79 } as const;

/** Lines of at most `longest` characters where the words allow it; further ones begin with four blanks. An option of
 *  master.cf is one word and has a line of its own. */
function fold(words: readonly string[], longest: number): readonly string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of words) {
    const own = word.startsWith("-o ") || line?.startsWith("    -o ");
    if (line !== undefined && (own || line.length + 1 + word.length > longest)) {
      lines.push(line);
      line = `    ${word}`;
    } else {
      line = line === undefined ? word : `${line} ${word}`;
    }
  }
  return [...lines, line ?? ""];
}

/** Services that `name` or `name/type` picks; warns of one that picks nothing. */
function picked(
  snapshot: ConfigSnapshot,
  options: PostconfOptions,
  io: PostconfIo,
): readonly (readonly [ServiceEntry, string | undefined])[] {
  if (options.names.length === 0) return snapshot.services.map((service) => [service, undefined]);
  return options.names.flatMap((request) => {
    const [name, type, parameter] = splitRequest(request);
    const found = snapshot.services.filter(
      (service) => service.name === name && (type === undefined || type === "*" || service.type === type),
    );
    const matching = found.filter(
      ({ overrides }) => parameter === undefined || overrides.some((override) => override.name === parameter),
    );
    if (matching.length === 0) warn(io, options, `unmatched request: "${request}"`);
    return matching.map((service): readonly [ServiceEntry, string | undefined] => [service, parameter]);
  });
}

/** service[/type[/parameter]]; a unix service's own name may hold slashes, a type and a parameter never do. */
function splitRequest(request: string): readonly [string, string | undefined, string | undefined] {
  const match = /^(.+?)(?:\/(inet|unix|fifo|pass|unix-dgram|\*)(?:\/([^/]+))?)?$/.exec(request);
  return [match?.[1] ?? request, match?.[2], match?.[3]];
}

function printOverrides(snapshot: ConfigSnapshot, options: PostconfOptions, io: PostconfIo): void {
  const lines: string[] = [];
  for (const [service, parameter] of picked(snapshot, options, io)) {
    const params = scopeOf(snapshot, service);
    for (const { name, value } of [...service.overrides].sort(byName)) {
      if (parameter !== undefined && name !== parameter) continue;
      const shown = shownValue(params, name, value, options);
      lines.push(...entry(`${service.name}/${service.type}/${name}`, shown, options));
    }
  }
  print(io, lines);
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

/** Where the fields of a service line begin, as Postfix aligns them. */
const COLUMNS = [0, 11, 17, 25, 33, 41, 49, 57] as const;

function printServices(snapshot: ConfigSnapshot, options: PostconfOptions, io: PostconfIo): void {
  print(
    io,
    picked(snapshot, options, io).map(([service]) => serviceLine(service, scopeOf(snapshot, service), options)),
  );
}

function serviceLine(service: ServiceEntry, params: Parameters, options: PostconfOptions): string {
  let line = "";
  for (const [i, field] of [...(service.fields ?? computedFields(service)), service.command].entries()) {
    line = i === 0 ? field : `${`${line} `.padEnd(COLUMNS[i] ?? 0)}${field}`;
  }
  const overrides = service.overrides.map(({ name, value }) => {
    const shown = shownValue(params, name, value, options);
    return /\s/.test(shown) ? `-o {${name}=${shown}}` : `-o ${name}=${shown}`;
  });
  const firstArgument = service.args.findIndex((arg) => !arg.startsWith("-"));
  const flags = service.args.slice(0, firstArgument < 0 ? undefined : firstArgument);
  const args = service.args.slice(flags.length).map((arg) => (/\s/.test(arg) || arg === "" ? `{${arg}}` : arg));
  const words = [line, ...flags, ...overrides, ...args];
  return options.fold ? fold(words, LONGEST.service).join("\n") : words.join(" ");
}

/** For services that no file wrote. */
function computedFields(service: ServiceEntry): readonly string[] {
  const flag = (on: boolean) => (on ? "y" : "n");
  return [
    service.name,
    service.type,
    flag(service.private),
    flag(service.unprivileged),
    flag(service.chroot),
    service.wakeup === 0 ? "-" : String(service.wakeup),
    service.maxproc === undefined ? "-" : String(service.maxproc),
  ];
}
