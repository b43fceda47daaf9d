/** scripts/source-tree.ts: the repository's own source files, and how a finding about them is shown. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root, without a slash at the end. */
export const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** File name relative to the root, with slashes → its text. */
export type SourceTree = ReadonlyMap<string, string>;

export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly level: "error" | "warning";
  readonly message: string;
}

/** Reads every .ts and .js file below the given folders of the root; missing folders count as empty. */
export function readTree(folders: readonly string[]): SourceTree {
  const tree = new Map<string, string>();
  for (const folder of folders) {
    for (const name of namesBelow(folder)) {
      if (!/\.(ts|js)$/.test(name)) continue;
      const file = `${folder}/${name.split(path.sep).join("/")}`;
      tree.set(file, readFileSync(path.join(ROOT, file), "utf8"));
    }
  }
  return tree;
}

function namesBelow(folder: string): string[] {
  try {
    return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: "utf8" }).sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw cause;
  }
}

/** `src/a.ts:12: error: message` */
function formatFinding(finding: Finding): string {
  return `${finding.file}:${finding.line}: ${finding.level}: ${finding.message}`;
}

/** Prints findings, warnings first, and a last line with the counts; returns the exit code. */
export function report(name: string, findings: readonly Finding[]): number {
  const errors = findings.filter((finding) => finding.level === "error");
  const warnings = findings.filter((finding) => finding.level === "warning");
  for (const finding of [...warnings, ...errors]) console.log(formatFinding(finding));
  console.log(`${name}: ${errors.length} errors, ${warnings.length} warnings`);
  return errors.length > 0 ? 1 : 0;
}
