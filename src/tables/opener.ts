/** tables/opener.ts: what a table type gets when it is opened. The register of types is open.ts; it imports every type, so
 *  the types import this file instead. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import type { FileSource, LookupTable, TableOpener } from "./table.ts";

export interface TableOpenerOptions {
  readonly files: FileSource;
  readonly log: Log;
  /** Relative table names are relative to it. */
  readonly configDirectory: string;
  /** For deadlines of tables that ask a server; the system's if not given. */
  readonly clock?: Clock | undefined;
  /** The process's variables, for `environ:`; none if not given. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Expanded text of a main.cf parameter, "" if unset: `ldap:name` without a file reads `name_server_host` … there. */
  readonly parameter?: ((name: string) => string) | undefined;
}

/** The same, for types that are made of other tables. `open` is a cache: each reference is opened once. */
export interface OpenerContext extends TableOpenerOptions {
  readonly tables: TableOpener;
}

/** Opens `type:name`; `ref` is the whole reference without `proxy:`. Throws TableError for what is wrong with the settings.
 *  Servers are not connected here but at the first get(): nothing may block, and a dead server is a run-time 451. */
export type Opener = (ref: string, name: string, options: OpenerContext) => LookupTable;
