/** scripts/generate-docs.ts: writes docs/postconf.md from the parameter registry, the one place where parameters are
 *  declared. `--check` writes nothing and fails when the file is not what would be written. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Declaration } from "../src/config/declare.ts";
import { REGISTRY } from "../src/config/registry.ts";
import { ROOT } from "./source-tree.ts";

const PAGE = "docs/postconf.md";

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

function readPage(): string {
  try {
    return readFileSync(path.join(ROOT, PAGE), "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw cause;
  }
}

if (import.meta.main) {
  const page = formatPage(REGISTRY);
  const present = readPage();
  if (!process.argv.includes("--check")) {
    writeFileSync(path.join(ROOT, PAGE), page);
  } else if (present !== page) {
    console.log(`${PAGE}:${firstDifference(present, page)}: error: differs from src/config/params/; run: npm run docs`);
    process.exitCode = 1;
  }
}
