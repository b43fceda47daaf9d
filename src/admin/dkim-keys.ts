/** admin/dkim-keys.ts: the signing file and its keys on the disk, and what DNS has of them: shared by `postern dkim` and
 *  `postern dns check`. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { domainToASCII } from "node:url";
import { type DkimKey, parseKey, publicRecord } from "../dkim/key.ts";
import { comparePublished, type Published } from "../dkim/published.ts";
import { parseSigningFile, type SigningLine } from "../dkim/signing-file.ts";

export interface SigningFileOnDisk {
  readonly path: string;
  /** undefined: there is none yet. */
  readonly text: string | undefined;
  readonly lines: readonly SigningLine[];
}

/** A line of the signing file with its key. */
export interface DkimKeyFile {
  readonly line: SigningLine;
  readonly key: DkimKey | undefined;
  /** Why there is no key. */
  readonly problem: string | undefined;
}

export function readSigningFile(path: string): SigningFileOnDisk | { readonly problem: string } {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { path, text: undefined, lines: [] };
    return { problem: `${path}: ${(error as Error).message}` };
  }
  const { lines, problems } = parseSigningFile(text);
  const [first] = problems;
  return first ? { problem: `${path}:${first.line}: ${first.text}; correct the line` } : { path, text, lines };
}

/** `domain` "": of all domains. */
export function keysOf(file: SigningFileOnDisk, domain: string): readonly DkimKeyFile[] {
  const wanted = domainToASCII(domain.replace(/^\./, "")).toLowerCase();
  return file.lines
    .filter((line) => domain === "" || line.domain === wanted)
    .map((line) => {
      const path = resolve(dirname(file.path), line.keyFile);
      try {
        const parsed = parseKey(readFileSync(path));
        return "problem" in parsed
          ? { line, key: undefined, problem: `${path}: ${parsed.problem}` }
          : { line, key: parsed, problem: undefined };
      } catch (error) {
        return { line, key: undefined, problem: (error as Error).message };
      }
    });
}

/** What there is at a name: TXT records, none, or why that is not known. */
export type TxtAnswer = { readonly records: readonly string[] } | { readonly unknown: string };

/** Compares a key with DNS. */
export async function lookUpKey(
  { line, key, problem }: DkimKeyFile,
  txt: (name: string) => Promise<TxtAnswer>,
): Promise<Published> {
  if (key === undefined) return { kind: "wrong", why: problem ?? "" };
  const answer = await txt(keyName(line));
  if ("unknown" in answer) return { kind: "unknown", why: answer.unknown };
  return answer.records.length === 0 ? { kind: "missing" } : comparePublished(answer.records, publicRecord(key));
}

/** Where the key's record stands. */
export function keyName({ selector, domain }: SigningLine): string {
  return `${selector}._domainkey.${domain}`;
}
