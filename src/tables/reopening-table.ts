/** tables/reopening-table.ts: a table that is opened anew when a file it was made of has changed, so that edits count without
 *  reload or restart. Answers that are under way come from the table they were asked of, which is closed behind them. */
import type { Answer, FileSource, LookupTable, TableOpener } from "./table.ts";

interface Opened {
  readonly table: LookupTable;
  /** Files that were read, or tried, to open it. */
  readonly paths: ReadonlySet<string>;
  pending: number;
  retired: boolean;
}

/** Opens at once, and again at the first use after a change. `open` never throws: a broken table is a table too. */
export class ReopeningTable implements LookupTable {
  readonly ref: string;
  readonly #files: FileSource;
  readonly #open: (files: FileSource) => LookupTable;
  #opened: Opened;
  #stale = false;

  constructor(ref: string, files: FileSource, open: (files: FileSource) => LookupTable) {
    this.ref = ref;
    this.#files = files;
    this.#open = open;
    this.#opened = this.#openNow();
  }

  /** These files have changed. */
  changed(paths: ReadonlySet<string>): void {
    for (const path of this.#opened.paths) if (paths.has(path)) this.#stale = true;
  }

  get(key: string): Answer | Promise<Answer> {
    if (this.#stale) this.#reopen();
    const opened = this.#opened;
    const answer = opened.table.get(key);
    if (!(answer instanceof Promise)) return answer;
    opened.pending++;
    return answer.finally(() => {
      opened.pending--;
      closeIfDone(opened);
    });
  }

  get partialKeys(): boolean {
    return this.#current.partialKeys;
  }

  get entries(): LookupTable["entries"] {
    return this.#current.entries;
  }

  get rules(): LookupTable["rules"] {
    return this.#current.rules;
  }

  get problem(): string | undefined {
    return this.#current.problem;
  }

  probe(): string | undefined {
    return this.#current.probe?.();
  }

  async close(): Promise<void> {
    await this.#opened.table.close?.();
  }

  get #current(): LookupTable {
    if (this.#stale) this.#reopen();
    return this.#opened.table;
  }

  #reopen(): void {
    this.#stale = false;
    const old = this.#opened;
    this.#opened = this.#openNow();
    old.retired = true;
    closeIfDone(old);
  }

  #openNow(): Opened {
    const paths = new Set<string>();
    const table = this.#open({
      read: (path) => {
        paths.add(path);
        return this.#files.read(path);
      },
      modifiedMs: (path) => this.#files.modifiedMs?.(path),
    });
    return { table, paths, pending: 0, retired: false };
  }
}

function closeIfDone(opened: Opened): void {
  // close() never rejects.
  if (opened.retired && opened.pending === 0) void opened.table.close?.();
}

/** `proxy:type:name` is `type:name` under its longer name; the table behind it closes itself. */
export class ProxyTable implements LookupTable {
  readonly ref: string;
  readonly #table: LookupTable;

  constructor(ref: string, tables: TableOpener) {
    this.ref = ref;
    this.#table = tables.open(ref.replace(/^(?:proxy:)+/, ""));
  }

  get(key: string): Answer | Promise<Answer> {
    return this.#table.get(key);
  }

  get partialKeys(): boolean {
    return this.#table.partialKeys;
  }

  get entries(): LookupTable["entries"] {
    return this.#table.entries;
  }

  get rules(): LookupTable["rules"] {
    return this.#table.rules;
  }

  get problem(): string | undefined {
    return this.#table.problem;
  }
}
