/** config/snapshot.ts: one configuration as immutable data. Structured-cloneable: the master makes it, IPC carries it to
 *  the workers, sessions finish under the generation they began with. Parsing is main-cf.ts and master-cf.ts. */

/** Where something was written. `line` counts from 1. */
export interface SourceRef {
  readonly file: string;
  readonly line: number;
}

/** `name = value` of main.cf or of an `-o` option; `value` is unexpanded, continuation lines joined. */
export interface Assignment {
  readonly name: string;
  readonly value: string;
  readonly at: SourceRef;
}

export type ServiceType = "inet" | "unix" | "fifo" | "pass" | "unix-dgram";

/** One logical line of master.cf (master(5)). */
export interface ServiceEntry {
  /** First field as written: "submission", "127.0.0.1:2525", "[::1]:smtp", "relay". */
  readonly name: string;
  readonly type: ServiceType;
  readonly private: boolean;
  readonly unprivileged: boolean;
  readonly chroot: boolean;
  /** Seconds; 0 = never. */
  readonly wakeup: number;
  /** undefined: `-`, no limit either; 0: no limit. */
  readonly maxproc: number | undefined;
  /** Program name: "smtpd", "smtp", "pipe" … */
  readonly command: string;
  /** Arguments other than `-o`. */
  readonly args: readonly string[];
  readonly overrides: readonly Assignment[];
  /** The first seven fields as written, `-` included, for `postconf -M`. */
  readonly fields?: readonly string[];
  readonly at: SourceRef;
}

/** A file that the master read on behalf of the workers, or why it could not. `path` is absolute. */
export type FileImage =
  | { readonly path: string; readonly bytes: Uint8Array; readonly mtimeMs: number }
  | { readonly path: string; readonly error: string };

/** Everything a worker needs to build its rooms. */
export interface ConfigSnapshot {
  readonly generation: number;
  readonly configDirectory: string;
  readonly mainCf: readonly Assignment[];
  readonly services: readonly ServiceEntry[];
  /** By absolute path: TLS keys and certificates, text tables, the user file. */
  readonly files: ReadonlyMap<string, FileImage>;
  /** Computed defaults that need the machine: myhostname, mail_version, config_directory, default process ids. */
  readonly builtins: ReadonlyMap<string, string>;
}

/** One finding about a configuration, rendered `file:line: severity: text; hint` (design §7). */
export interface Problem {
  readonly severity: "error" | "warning";
  readonly at: SourceRef | undefined;
  readonly text: string;
  readonly hint?: string | undefined;
}
