/** cli/postmap-run.ts: one run of postmap or postalias: what it was asked, and the tables it names. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { fileErrorText } from "../config/file-error.ts";
import type { Parameters } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createTableOpener, TABLE_TYPES } from "../tables/open.ts";
import { type FileSource, type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import { INDEXED_TYPES } from "../tables/text-table.ts";
import type { PostmapOptions } from "./postmap-options.ts";

export interface PostmapIo {
  readonly stdin: () => Promise<string>;
  /** Takes whole lines, line ends included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Relative table names are relative to it. */
  readonly workingDirectory: string;
  /** For `environ:`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The effective user id: only root gives files away. */
  readonly uid: number;
  /** `directory` is -c. Undefined if nothing can be read and no directory was asked for; else throws. */
  readonly parameters: (directory: string | undefined) => Promise<Parameters | undefined>;
}

export type PostmapProgram = "postmap" | "postalias";

/** The fatal end of a run; the text is for stderr. */
export class Fatal extends Error {}

export interface Run {
  readonly program: PostmapProgram;
  readonly options: PostmapOptions;
  readonly io: PostmapIo;
  readonly opener: TableOpener;
  readonly parameters: Parameters | undefined;
}

export const DISK: FileSource = {
  read(path) {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new TableError(`open ${path}: ${fileErrorText(cause)}`, { cause });
    }
  },
  modifiedMs: (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs,
};

export function openerOf(program: PostmapProgram, io: PostmapIo, parameters: Parameters | undefined): TableOpener {
  const sink = ({ text }: { readonly text: string }) => {
    // open() below says it as a fatal error.
    if (!text.includes(" is unavailable. ")) io.stderr(`${program}: warning: ${text}\n`);
  };
  return createTableOpener({
    files: DISK,
    log: new Log({ sink, now: () => 0, tag: program, id: 0 }),
    configDirectory: io.workingDirectory,
    environment: io.environment,
    ...(parameters && { parameter: (name: string) => parameters.text(name) }),
  });
}

interface Named {
  readonly type: string;
  readonly name: string;
  readonly ref: string;
}

/** A table as named on the command line; without a type it is of $default_database_type. */
export function named(table: string, parameters: Parameters | undefined): Named {
  const type = /^[a-z]\w*(?=:)/i.exec(table)?.[0];
  if (type !== undefined) return { type, name: table.slice(type.length + 1), ref: table };
  const fallback = parameters?.get("default_database_type") ?? "hash";
  return { type: fallback, name: table, ref: `${fallback}:${table}` };
}

/** Throws Fatal for a table that is not usable at all. */
export function open(run: Run, table: string): LookupTable {
  const opened = run.opener.open(named(table, run.parameters).ref);
  if (opened.problem !== undefined) throw new Fatal(opened.problem);
  return opened;
}

/** The path of a table that can be built; throws Fatal for other types. */
export function indexed(run: Run, table: string, operation: string): string {
  const { type, name, ref } = named(table, run.parameters);
  if (!TABLE_TYPES.includes(type)) throw new Fatal(`unsupported dictionary type: ${type}`);
  if (INDEXED_TYPES.has(type)) return resolve(run.io.workingDirectory, name);
  if (operation === "build")
    throw new Fatal(`unsupported dictionary type: ${type} does not support bulk-mode creation.`);
  throw new Fatal(`table ${ref}: ${operation} operation is not supported`);
}

export function linesOf(text: string): readonly string[] {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}
