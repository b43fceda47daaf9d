/** scripts/generate-docs.ts: writes docs/postconf.md from the parameter registry, the one place where parameters are
 *  declared, and docs/rfc-compliance.md from the names of the tests. `--check` writes nothing and fails when one
 *  is not what would be written. Both fail when a test cites a requirement that does not exist. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Declaration } from "../src/config/declare.ts";
import { REGISTRY } from "../src/config/registry.ts";
import { composeRfcPage } from "./rfc-page.ts";
import { ROOT } from "./source-tree.ts";

type Registry = Readonly<Record<string, Declaration<unknown>>>;

/** The whole page. */
export function formatPage(registry: Registry): string {
  const names = Object.keys(registry).sort();
  const own = names.filter((name) => registry[name]?.origin === "postern");
  const lines = [
    "# Parameters of main.cf",
    "",
    "Written by `npm run docs` from `src/config/params/`; do not edit. Defaults are Postfix 3.10's where Postfix has the",
    "parameter. Every parameter listed here has an effect; `postern check` names those that are set and have none.",
    "",
    `${names.length} parameters, ${own.length} of them Postern's own${own.length > 0 ? `: ${own.map(link).join(", ")}` : ""}.`,
  ];
  for (const name of names) lines.push("", ...formatEntry(name, registry[name]));
  return `${lines.join("\n")}\n`;
}

function formatEntry(name: string, declaration: Declaration<unknown> | undefined): string[] {
  if (declaration === undefined) return [];
  const marks = [
    `Type: ${declaration.type}.`,
    declaration.origin === "postern" ? "**Postern's own.**" : "",
    declaration.restart ? "A change needs a restart." : "",
    declaration.raw ? "Expanded when used, with names of its own." : "",
  ];
  const fallback = declaration.default === "" ? "Default: empty." : `Default: ${code(declaration.default)}.`;
  return [`## ${name}`, "", [fallback, ...marks.filter(Boolean)].join(" "), "", declaration.doc.trim()];
}

function link(name: string): string {
  return `[${name}](#${name})`;
}

/** Inline code that may itself hold back-quotes. */
function code(text: string): string {
  const oneLine = text.replace(/\s*\n\s*/g, " ");
  const fence = oneLine.includes("`") ? "``" : "`";
  return fence === "`" ? `\`${oneLine}\`` : `${fence} ${oneLine} ${fence}`;
}

/** First line in which the two differ, counted from 1. */
function firstDifference(a: string, b: string): number {
  const [left, right] = [a.split("\n"), b.split("\n")];
  const index = left.findIndex((line, at) => line !== right[at]);
  return (index < 0 ? left.length : index) + 1;
}

function readPage(page: string): string {
  try {
    return readFileSync(path.join(ROOT, page), "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw cause;
  }
}

function complain(finding: string): void {
  console.log(finding);
  process.exitCode = 1;
}

if (import.meta.main) {
  const rfc = composeRfcPage();
  const pages = [
    { file: "docs/postconf.md", from: "src/config/params/", text: formatPage(REGISTRY) },
    { file: "docs/rfc-compliance.md", from: "the names of the tests", text: rfc.page },
  ];
  for (const finding of rfc.findings) complain(finding);
  for (const { file, from, text } of pages) {
    const present = readPage(file);
    if (!process.argv.includes("--check")) writeFileSync(path.join(ROOT, file), text);
    else if (present !== text) {
      complain(`${file}:${firstDifference(present, text)}: error: differs from ${from}; run: npm run docs`);
    }
  }
}
