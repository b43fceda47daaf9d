/** dkim/key-ring.ts: the keys of the signing file, found by domain. Read when they are first needed, and again when a file changes. */
import { posix } from "node:path";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { FileSource } from "../tables/table.ts";
import { parseKey } from "./key.ts";
import type { SigningKey } from "./sign.ts";
import { indexLines, parseSigningFile, type SigningLine } from "./signing-file.ts";

/** A key of the signing file, or why it cannot sign. */
type Loaded = { readonly line: SigningLine } & ({ readonly key: SigningKey } | { readonly problem: string });

interface LoadedRing {
  readonly find: (domain: string) => readonly Loaded[];
  /** Of the keys. */
  readonly files: readonly string[];
}

export class KeyRing {
  readonly #path: string;
  readonly #files: FileSource;
  readonly #log: Log;
  #loaded: LoadedRing | { readonly problem: string } | undefined;

  constructor(path: string, files: FileSource, log: Log) {
    this.#path = path;
    this.#files = files;
    this.#log = log;
    files.onChange?.((changed) => {
      const files = this.#loaded && "files" in this.#loaded ? this.#loaded.files : [];
      if ([path, ...files].some((file) => changed.has(file))) this.#loaded = undefined;
    });
  }

  /** The keys of the first domain that has any; none if no domain has. */
  keysFor(domains: readonly string[]): readonly SigningKey[] | { readonly problem: string } {
    this.#loaded ??= this.#load();
    if ("problem" in this.#loaded) return this.#loaded;
    for (const domain of domains) {
      const found = this.#loaded.find(domain);
      const bad = found.find((one) => "problem" in one);
      if (bad && "problem" in bad) return { problem: bad.problem };
      if (found.length > 0) return found.flatMap((one) => ("key" in one ? [one.key] : []));
    }
    return [];
  }

  #load(): LoadedRing | { readonly problem: string } {
    try {
      const { lines, problems } = parseSigningFile(new TextDecoder().decode(this.#files.read(this.#path)));
      for (const { line, text } of problems) this.#log.warning(printableUtf8(`${this.#path}:${line}: ${text}`));
      const loaded = lines.map((line) => this.#loadKey(line));
      return { find: indexLines(loaded, ({ line }) => line), files: lines.map((line) => this.#pathOf(line)) };
    } catch (error) {
      return { problem: (error as Error).message };
    }
  }

  #loadKey(line: SigningLine): Loaded {
    const path = this.#pathOf(line);
    try {
      const parsed = parseKey(this.#files.read(path));
      if ("problem" in parsed) return { line, problem: `${path}: ${parsed.problem}` };
      return { line, key: { ...parsed, domain: line.domain, selector: line.selector } };
    } catch (error) {
      return { line, problem: (error as Error).message };
    }
  }

  #pathOf({ keyFile }: SigningLine): string {
    return posix.resolve(posix.dirname(this.#path), keyFile);
  }
}
