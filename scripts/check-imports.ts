/** scripts/check-imports.ts: the architecture as a table (ARCHITECTURE.md): which room may import which, who may touch
 *  sockets, SQLite, the process and the clock, and that no file is imported by what it imports. Type imports count like
 *  any other: they bind readers. Test files may use sockets, time and the process, and import fixtures from anywhere;
 *  between rooms they keep to the layers. */
import path from "node:path";
import { findCycles } from "./import-cycles.ts";
import { importsOf, type SourceImport } from "./imports.ts";
import { type Finding, readTree, report, type SourceTree } from "./source-tree.ts";
import { type Token, tokenize } from "./tokens.ts";

/** A room imports only itself and rooms of a strictly lower layer. */
const LAYERS: readonly (readonly string[])[] = [
  ["base"],
  ["mail"],
  ["log", "net", "config", "decisions", "duplicates"],
  ["dns"],
  ["tables"],
  ["rewrite", "sasl", "anvil", "policy", "milter", "dkim"],
  ["queue", "access", "authentication"],
  ["cleanup", "proof"],
  ["smtp", "local", "bounce", "verify", "proxy"],
  ["smtpd", "qmgr", "pickup"],
  ["admin"],
  ["master"],
  ["cli"],
];
const LAYER_OF = new Map(LAYERS.flatMap((rooms, layer) => rooms.map((room) => [room, layer] as const)));

/** Never, although the layers would allow it. */
const BANNED_ROOMS: Readonly<Record<string, { readonly rooms: readonly string[]; readonly why: string }>> = {
  smtpd: { rooms: ["queue", "smtp", "local"], why: "a session hands mail to cleanup/ and knows no delivery" },
  qmgr: { rooms: ["smtp", "local"], why: "delivery agents are injected by master/" },
  access: { rooms: ["net", "milter"], why: "access/ reaches the network only through policy/, dns/, tables/" },
};

/** Node modules that only some rooms may import. */
const GUARDED_MODULES = new Map<string, readonly string[]>([
  ["node:net", ["net"]],
  ["node:tls", ["net"]],
  ["node:sqlite", ["queue", "tables", "sasl", "admin"]],
  ["node:process", ["master", "cli"]],
  ["node:timers", []],
  ["node:timers/promises", []],
  ["node:perf_hooks", []],
]);
const PROCESS_ROOMS = ["master", "cli"];
const CLOCK_FILE = "src/base/clock.ts";
const TIMERS = new Set(["setTimeout", "setInterval"]);

/** Findings for all files of the tree. Files outside src/ take part in cycles only. */
export function checkImports(tree: SourceTree): Finding[] {
  const imports = new Map([...tree].map(([file, source]) => [file, importsOf(file, tokenize(source))] as const));
  const findings: Finding[] = [];
  for (const [file, source] of tree) {
    if (!file.startsWith("src/")) continue;
    findings.push(...checkFile(file, imports.get(file) ?? []));
    if (!isForTests(file)) findings.push(...checkGlobals(file, tokenize(source)));
  }
  return [...findings, ...findCycles(imports)];
}

function checkFile(file: string, imports: readonly SourceImport[]): Finding[] {
  const room = roomOf(file);
  if (room === undefined) return [error(file, 1, "a source file lives in a room: src/<room>/<noun>.ts")];
  if (room !== "web" && !LAYER_OF.has(room)) {
    return [error(file, 1, `room "${room}" has no layer; add it to the table in scripts/check-imports.ts`)];
  }
  return imports.flatMap((found) => {
    const why = found.target === undefined ? checkModule(file, room, found) : checkTarget(file, room, found);
    return why === undefined ? [] : [error(file, found.line, why)];
  });
}

function checkModule(file: string, room: string, found: SourceImport): string | undefined {
  const rooms = GUARDED_MODULES.get(found.specifier);
  if (rooms === undefined || rooms.includes(room) || isForTests(file) || file === CLOCK_FILE) return undefined;
  if (rooms.length === 0) return `${found.specifier}: time only through base/clock.ts`;
  return `${found.specifier} is only for ${rooms.map((name) => `${name}/`).join(", ")}`;
}

function checkTarget(file: string, room: string, found: SourceImport): string | undefined {
  const target = found.target ?? "";
  if (isFixture(target)) return isForTests(file) ? undefined : `imports ${target}: fixtures are for tests`;
  if (!target.startsWith("src/")) return `imports ${target}, which is outside src/`;
  if (isForTests(target) && !isForTests(file)) return `imports the test file ${target}`;
  const other = roomOf(target);
  if (other === undefined || other === room) return undefined;
  const ban = BANNED_ROOMS[room];
  if (ban?.rooms.includes(other)) return `${room}/ must not import ${other}/: ${ban.why}`;
  if (room === "web") return other === "admin" && found.typeOnly ? undefined : "web/ may only import types from admin/";
  const from = LAYER_OF.get(room) ?? 0;
  const to = LAYER_OF.get(other);
  if (to === undefined) return `room "${other}" has no layer; add it to the table in scripts/check-imports.ts`;
  return to < from ? undefined : `${room}/ (layer ${from}) must not import ${other}/ (layer ${to})`;
}

/** Uses of the process object and of the clock that need no import. */
function checkGlobals(file: string, allTokens: readonly Token[]): Finding[] {
  if (file === CLOCK_FILE) return [];
  const tokens = allTokens.filter((token) => token.kind !== "comment");
  const processAllowed = PROCESS_ROOMS.includes(roomOf(file) ?? "");
  return tokens.flatMap((token, at) => {
    if (token.kind !== "word") return [];
    const [before, after] = [plainText(tokens[at - 1]), plainText(tokens[at + 1])];
    const member = (before === "." || before === "?.") && tokens[at - 2]?.text !== "globalThis";
    if (member) return [];
    const next = tokens[at + 2]?.text ?? "";
    if (isClock(token.text, { before, after, next })) {
      return [error(file, token.line, `${token.text}: time only through base/clock.ts`)];
    }
    const uses = [".", "?.", "["].includes(after) || before === "=";
    if (token.text !== "process" || processAllowed || !uses) return [];
    return [error(file, token.line, "process is only for master/ and cli/")];
  });
}

/** Text of a punctuator or word; nothing for a string that only looks like one. */
function plainText(token: Token | undefined): string {
  return token?.kind === "punctuator" || token?.kind === "word" ? token.text : "";
}

function isClock(word: string, around: { before: string; after: string; next: string }): boolean {
  const called = around.after === "(";
  if (TIMERS.has(word)) return called && around.before !== "function";
  if (word === "performance") return around.after === ".";
  if (word !== "Date") return false;
  if (around.after === ".") return around.next === "now";
  if (around.before === "new") return !called || around.next === ")"; // new Date(value) reads no clock
  return called;
}

function roomOf(file: string): string | undefined {
  const parts = file.split("/");
  return parts[0] === "src" && parts.length > 2 ? parts[1] : undefined;
}

function isFixture(file: string): boolean {
  return /(^|\/)(testdata|fixtures)\/|[.-]fixtures?\.ts$/.test(file) || file.startsWith("test/");
}

function isForTests(file: string): boolean {
  return file.endsWith(".test.ts") || isFixture(file);
}

function error(file: string, line: number, message: string): Finding {
  return { file: path.posix.normalize(file), line, level: "error", message };
}

if (import.meta.main) {
  process.exitCode = report("check-imports", checkImports(readTree(["src", "scripts", "test"])));
}
