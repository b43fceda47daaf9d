/** tables/table.ts: what a lookup table is (DATABASE_README). One file per type beside this one; open.ts picks it. */

/** A table cannot answer now: callers answer 451, never "not found". */
export class TableError extends Error {
  override readonly name = "TableError";
}

export type Answer = string | undefined;

export interface LookupTable {
  /** As written: "texthash:/etc/postern/access". */
  readonly ref: string;
  /** False for regexp, cidr, tcp …: the full key only, no parent domains or partial addresses (postfix.md §5.8). */
  readonly partialKeys: boolean;
  /** Value, undefined for not found; throws or rejects TableError. Keys are folded here if the type folds. */
  get(key: string): Answer | Promise<Answer>;
  /** All keys where they can be enumerated (texthash, inline), for proof; undefined otherwise. */
  readonly entries?: ReadonlyMap<string, string> | undefined;
  /** The rules of cidr, regexp and pcre tables in order, patterns as written and values unexpanded, for proof; undefined
   *  for other types. */
  readonly rules?: readonly { readonly pattern: string; readonly value: string }[] | undefined;
  /** Why every get() throws, where that is known when the table is opened; for check and for optional defaults. */
  readonly problem?: string | undefined;
  /** Local databases only: what keeps lookups from working now, found without one; for check. */
  probe?(): string | undefined;
  /** Ends connections, workers, file handles. A get() after it may throw TableError. Never rejects. */
  close?(): Promise<void>;
}

/** Text tables come from the config snapshot's file images, so unprivileged workers need not read them. */
export interface FileSource {
  /** Bytes of an absolute path; throws TableError with the reason if the master could not read it. */
  read(path: string): Uint8Array;
  /** Last modification in milliseconds; undefined if unknown or missing. */
  modifiedMs?(path: string): number | undefined;
  /** Calls back with the paths whose bytes have changed; read() gives the new ones from then on. */
  onChange?(run: (changed: ReadonlySet<string>) => void): void;
}

/** Opens "type:name" references; each reference once per config generation. */
export interface TableOpener {
  /** Never throws for a table that is broken: the table then throws TableError at get(), and check has reported it. */
  /** `need`: "optional" for a table that nobody asked for: if it is not there, nobody is told. */
  open(ref: string, need?: "optional"): LookupTable;
  /** Where tables are read from; pattern lists read their `/file` items there. */
  readonly files?: FileSource | undefined;
  /** Closes every table it opened. */
  close?(): Promise<void>;
}
