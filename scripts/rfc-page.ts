/** scripts/rfc-page.ts: docs/rfc-compliance.md: which requirement of test/rfc-matrix.tsv is cited by which test's name.
 *  Only names that a test file really registers count (scripts/list-tests.ts): no comment, no skipped test. */
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestName } from "./list-tests.ts";
import { ROOT } from "./source-tree.ts";

const MATRIX_FILE = "test/rfc-matrix.tsv";
const PRIORITIES = ["P0", "P1", "P2"] as const;
/** A requirement shows so many tests; the rest can be found by its id. */
const SHOWN_TESTS = 3;
/** Those of `npm test`. Tests with programs of others are left out: which there are depends on what is installed. */
const TEST_FILES = ["src/**/*.test.ts", "test/*.test.ts", "scripts/*.test.ts"];
/** Lines of scripts/list-tests.ts; a test file may print something, too. */
const LISTED = '{"file":';

export interface Requirement {
  readonly id: string;
  readonly priority: (typeof PRIORITIES)[number];
  /** RFC and section, or who else asks for it. */
  readonly source: string;
  readonly text: string;
  /** Why no test cites the id, or what to know beside the tests; empty where there is nothing to say. */
  readonly reason: string;
}

/** Reads the matrix. Throws with the line at the first malformed one. */
export function parseMatrix(text: string): Requirement[] {
  const rows: Requirement[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const [id = "", priority = "", source = "", what = "", reason = "", ...rest] = line.split("\t");
    const known = PRIORITIES.find((name) => name === priority);
    if (!/^[A-Z0-9]+-\d\d$/.test(id) || known === undefined || source === "" || what === "" || rest.length > 0) {
      throw new Error(`${MATRIX_FILE}:${index + 1}: error: not "id, priority, source, requirement, reason" with tabs`);
    }
    if (rows.some((row) => row.id === id)) throw new Error(`${MATRIX_FILE}:${index + 1}: error: ${id} twice`);
    rows.push({ id, priority: known, source, text: what, reason });
  }
  return rows;
}

/** Names of tests by the id that they cite, and a finding for each cited id that the matrix does not have. */
export function findProofs(
  matrix: readonly Requirement[],
  tests: readonly TestName[],
): { readonly proofs: ReadonlyMap<string, readonly TestName[]>; readonly findings: readonly string[] } {
  const proofs = new Map<string, TestName[]>(matrix.map((row) => [row.id, []]));
  const sections = [...new Set(matrix.map((row) => sectionOf(row.id)))];
  const cited = new RegExp(`(?<![\\w-])(?:${sections.join("|")})-\\d\\d(?!\\w)`, "g");
  const findings: string[] = [];
  for (const test of tests) {
    for (const id of new Set(test.name.match(cited))) {
      const proof = proofs.get(id);
      if (proof) proof.push(test);
      else findings.push(`${test.file}:1: error: the test "${test.name}" cites ${id}, which ${MATRIX_FILE} has not`);
    }
  }
  return { proofs, findings };
}

function sectionOf(id: string): string {
  return id.slice(0, id.lastIndexOf("-"));
}

interface Count {
  readonly name: string;
  proven: number;
  answered: number;
  open: number;
}

/** The whole page. */
export function formatRfcPage(
  matrix: readonly Requirement[],
  proofs: ReadonlyMap<string, readonly TestName[]>,
): string {
  const state = (row: Requirement) => stateOf(row, proofs.get(row.id) ?? []);
  const sections = [...new Set(matrix.map((row) => sectionOf(row.id)))];
  const lines = [
    "# What the standards ask, and which test proves it",
    "",
    "Written by `npm run docs` from `test/rfc-matrix.tsv` and from the names of the tests; do not edit. A requirement",
    "counts as proven when the name of a test that `npm test` runs cites its id; a skipped test or a comment does not count.",
    "P0: before any release; P1: completeness; P2: later, not counted here.",
    "",
    ...formatCounts("Priority", ["P0", "P1"], (name) => matrix.filter((row) => row.priority === name).map(state)),
    "",
    ...formatCounts("Section (P0 and P1)", sections, (name) =>
      matrix.filter((row) => sectionOf(row.id) === name && row.priority !== "P2").map(state),
    ),
  ];
  for (const section of sections) {
    lines.push(
      "",
      `## ${section}`,
      "",
      "| Id | | Source | Requirement | Test, or why there is none |",
      "|---|---|---|---|---|",
    );
    for (const row of matrix.filter((each) => sectionOf(each.id) === section)) {
      const cells = [row.id, row.priority, row.source, row.text, formatProof(row, proofs.get(row.id) ?? [])];
      lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function stateOf(row: Requirement, tests: readonly TestName[]): "proven" | "answered" | "open" {
  if (tests.length > 0) return "proven";
  return row.reason === "" ? "open" : "answered";
}

function formatCounts(
  title: string,
  names: readonly string[],
  statesOf: (name: string) => readonly ("proven" | "answered" | "open")[],
): string[] {
  const lines = [`| ${title} | Proven | Of | Reason given | Open |`, "|---|---|---|---|---|"];
  const sum: Count = { name: "all", proven: 0, answered: 0, open: 0 };
  for (const name of names) {
    const count: Count = { name, proven: 0, answered: 0, open: 0 };
    for (const state of statesOf(name)) {
      count[state]++;
      sum[state]++;
    }
    if (count.proven + count.answered + count.open > 0) lines.push(formatCount(count));
  }
  return [...lines, formatCount(sum)];
}

function formatCount({ name, proven, answered, open }: Count): string {
  return `| ${name} | ${proven} | ${proven + answered + open} | ${answered} | ${open} |`;
}

function formatProof(row: Requirement, tests: readonly TestName[]): string {
  if (tests.length === 0) return row.reason === "" ? (row.priority === "P2" ? "later" : "**open**") : row.reason;
  const shown = tests.slice(0, SHOWN_TESTS).map((test) => `\`${test.file}\`: ${plain(test.name)}`);
  if (tests.length > SHOWN_TESTS) shown.push(`${tests.length - SHOWN_TESTS} more`);
  if (row.reason !== "") shown.push(`(${row.reason})`);
  return shown.join("<br>");
}

/** A name as text in a table: on one line, nothing taken for markup. */
function plain(name: string): string {
  const line = JSON.stringify(name).slice(1, -1).replaceAll('\\"', '"').replaceAll("\\\\", "\\");
  return line.replace(/[<>*_`\\[\]]/g, (mark) => (mark === "<" ? "&lt;" : mark === ">" ? "&gt;" : `\\${mark}`));
}

/** Names of all tests. Throws when a test file cannot be loaded. */
function listTests(): TestName[] {
  const files = TEST_FILES.flatMap((pattern) => globSync(pattern, { cwd: ROOT }).sort());
  // Some test files make directories when they are loaded, and remove them when their tests are done.
  const scratch = mkdtempSync(path.join(tmpdir(), "postern-list-tests-"));
  try {
    const child = spawnSync(process.execPath, [path.join(ROOT, "scripts/list-tests.ts"), ...files.map(slashed)], {
      cwd: ROOT,
      encoding: "utf8",
      env: { ...process.env, TMPDIR: scratch },
      maxBuffer: 64 << 20,
      timeout: 120_000,
    });
    if (child.status !== 0) throw new Error(`scripts/list-tests.ts: ${child.stderr.trim() || child.error?.message}`);
    return child.stdout
      .split("\n")
      .filter((line) => line.startsWith(LISTED))
      .map((line) => JSON.parse(line) as TestName);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function slashed(file: string): string {
  return file.split(path.sep).join("/");
}

/** The page as it should be, and what is wrong with the names of the tests. */
export function composeRfcPage(): { readonly page: string; readonly findings: readonly string[] } {
  const matrix = parseMatrix(readFileSync(path.join(ROOT, MATRIX_FILE), "utf8"));
  const { proofs, findings } = findProofs(matrix, listTests());
  return { page: formatRfcPage(matrix, proofs), findings };
}
