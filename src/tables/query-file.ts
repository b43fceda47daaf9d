/** tables/query-file.ts: the settings of a database client: a file of `name = value` lines in main.cf's grammar, as
 *  pgsql_table(5), mysql_table(5), ldap_table(5), sqlite_table(5) and memcache_table(5) have it. A name that is no path takes
 *  the settings from main.cf, as `<name>_<setting>`. Values of a file are not expanded: a password may hold `$`. */
import { posix } from "node:path";
import { ParameterError, splitList } from "../config/declare.ts";
import { parseMainCf } from "../config/main-cf.ts";
import type { TableOpenerOptions } from "./opener.ts";
import { TableError } from "./table.ts";

interface Setting {
  readonly value: string;
  /** "/etc/postern/pgsql.cf, line 3" or "main.cf parameter users_query". */
  readonly where: string;
}

/** Typed reading of settings. Every error is a TableError that names file and line. */
export class QueryFile {
  /** The file's path, or the prefix of the main.cf parameters. */
  readonly path: string;
  /** Warnings of the reading, with file and line: a name that is set twice. */
  readonly warnings: readonly string[];
  readonly #find: (name: string) => Setting | undefined;
  readonly #names: ReadonlySet<string>;

  constructor(input: {
    readonly path: string;
    readonly warnings: readonly string[];
    readonly names: ReadonlySet<string>;
    readonly find: (name: string) => Setting | undefined;
  }) {
    this.path = input.path;
    this.warnings = input.warnings;
    this.#names = input.names;
    this.#find = input.find;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** The value, which may be "", or the fallback where nobody set the name. */
  text(name: string, fallback = ""): string {
    return this.#find(name)?.value ?? fallback;
  }

  /** Throws TableError where the value is missing or empty. */
  required(name: string): string {
    const value = this.text(name);
    if (value === "") throw new TableError(`${this.path}: the setting "${name}" is missing`);
    return value;
  }

  /** A whole number; `limits` are inclusive. */
  number(name: string, fallback: number, limits: { readonly min?: number; readonly max?: number } = {}): number {
    const value = this.text(name);
    if (value === "") return fallback;
    if (!/^-?\d{1,15}$/.test(value)) throw this.bad(name, `bad numerical configuration: ${name} = ${value}`);
    const number = Number(value);
    const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = limits;
    if (number < min) throw this.bad(name, `invalid ${name} parameter value ${value} < ${min}`);
    if (number > max) throw this.bad(name, `invalid ${name} parameter value ${value} > ${max}`);
    return number;
  }

  /** `yes` or `no`, in any case. */
  bool(name: string, fallback: boolean): boolean {
    const value = this.text(name);
    if (value === "") return fallback;
    if (/^yes$/i.test(value)) return true;
    if (/^no$/i.test(value)) return false;
    throw this.bad(name, `bad boolean configuration: ${name} = ${value}`);
  }

  /** Words between commas and blanks; `{…}` keeps blanks. */
  list(name: string): readonly string[] {
    try {
      return splitList(this.text(name), name);
    } catch (cause) {
      if (cause instanceof ParameterError) throw this.bad(name, cause.message);
      throw cause;
    }
  }

  /** Where the setting stands, or the file's path where nobody set it. */
  where(name: string): string {
    return this.#find(name)?.where ?? this.path;
  }

  /** A TableError about this setting, at its line. */
  bad(name: string, why: string): TableError {
    return new TableError(`${this.where(name)}: ${why}`);
  }

  /** Names in the file that are none of `known`, as warnings with file and line: mistyped names. */
  unknown(known: readonly string[]): readonly string[] {
    return [...this.#names]
      .filter((name) => !known.includes(name))
      .map((name) => `${this.#find(name)?.where ?? this.path}: unknown setting "${name}" is ignored`);
  }
}

/** Reads a file's bytes. Throws TableError at the first line that is no `name = value`. */
export function parseQueryFile(bytes: Uint8Array, path: string): QueryFile {
  const { assignments, problems } = parseMainCf(bytes, path);
  const error = problems.find(({ severity }) => severity === "error");
  if (error) throw new TableError(`${path}, line ${error.at?.line ?? 1}: ${error.text}`);
  const settings = new Map<string, Setting>();
  for (const { name, value, at } of assignments) settings.set(name, { value, where: `${path}, line ${at.line}` });
  return new QueryFile({
    path,
    warnings: problems.map((problem) => `${path}, line ${problem.at?.line ?? 1}: ${problem.text}`),
    names: new Set(settings.keys()),
    find: (name) => settings.get(name),
  });
}

/** The settings behind `type:name`: the file if `name` begins with `/` or `.`, else main.cf. Warnings go to the log. */
export function openQueryFile(name: string, options: TableOpenerOptions): QueryFile {
  if (/^[./]/.test(name)) {
    const path = posix.resolve(options.configDirectory, name);
    const file = parseQueryFile(options.files.read(path), path);
    for (const warning of file.warnings) options.log.warning(warning);
    return file;
  }
  const { parameter } = options;
  if (name === "" || !parameter) throw new TableError(`open "${name}": the name of a settings file begins with "/"`);
  return new QueryFile({
    path: `main.cf parameters ${name}_*`,
    warnings: [],
    names: new Set(),
    find(setting) {
      const value = parameter(`${name}_${setting}`);
      return value === "" ? undefined : { value, where: `main.cf parameter ${name}_${setting}` };
    },
  });
}
