/** cli/selftest.ts: `postern selftest`: plays the rows of src/admin/selftest-rows.ts against a private server with the operator's
 *  own configuration, and tells which fail, with what was sent and what came back. Exit 1 if one does. */
import { parseArgs } from "node:util";
import { SelftestPlayer, type SelftestResult } from "../admin/selftest-player.ts";
import { REPLY_RULES, type ReplyRules } from "../admin/selftest-reply-rules.ts";
import type { SelftestRow } from "../admin/selftest-row.ts";
import { SELFTEST_ROWS } from "../admin/selftest-rows.ts";
import { requireConfiguration } from "./config-commands.ts";
import { formatFailure, formatSkipped, formatSummary } from "./selftest-format.ts";
import { type PrivateServer, PrivateServerError, startPrivateServer } from "./selftest-server.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

const USAGE = `usage: postern [-c DIR] selftest [--json] [--domain DOMAIN] [ID…]
       postern selftest --list [ID…]

Starts a private server with your configuration (own ports on loopback, own queue, own user; mail goes nowhere), says to it
what the standards allow and forbid, and tells where it does not do as they ask. ID: only these rows (SMTP-24, AUTH, …).
--domain: of the recipients, where your restrictions want one that exists; nothing is sent there.
`;

const OPTIONS = {
  json: { type: "boolean" },
  list: { type: "boolean" },
  domain: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Nobody's (RFC 2606). */
const NOWHERE = "selftest.invalid";

export const selftest: Command = async (args, terminal) => {
  const parsed = parse(args);
  if ("error" in parsed) return failed(terminal, "selftest", parsed.error, EXIT.usage);
  const { values, rows } = parsed;
  if (values.help) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  if (values.list) {
    for (const { ids, what, on } of rows) terminal.stdout(`${ids.join(", ")} (${on}): ${what}\n`);
    return EXIT.done;
  }
  const snapshot = await requireConfiguration(terminal, "selftest");
  if (snapshot === undefined) return EXIT.configuration;
  let server: PrivateServer;
  try {
    server = await startPrivateServer(snapshot, values.domain ?? NOWHERE);
  } catch (error) {
    if (!(error instanceof PrivateServerError)) throw error;
    return failed(terminal, "selftest", error.message, error.exitCode ?? EXIT.problems);
  }
  const stop = () => void server.close().then(() => process.exit(EXIT.problems));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    for (const note of values.json ? [] : server.notes) terminal.stdout(`${note}\n`);
    const player = new SelftestPlayer(server.site);
    const results: SelftestResult[] = [];
    for (const row of rows) results.push(await player.play(row));
    results.push(...ruleResults(player.rules));
    return tell(results, { terminal, json: values.json === true, notes: server.notes });
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await server.close();
  }
};

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    const wanted = positionals.map((id) => id.toUpperCase());
    const unknown = wanted.find((id) => !SELFTEST_ROWS.some((row) => row.ids.some((one) => covers(id, one))));
    if (!/^[a-z0-9.-]+$/i.test(values.domain ?? NOWHERE)) return { error: `--domain: no domain: "${values.domain}"` };
    if (unknown !== undefined) return { error: `no row has the id "${unknown}"; see: postern selftest --list` };
    return { values, rows: SELFTEST_ROWS.filter((row) => isWanted(row, wanted)) };
  } catch (error) {
    return { error: `${(error as Error).message.split(". ")[0]}; see: postern selftest --help` };
  }
}

function isWanted(row: SelftestRow, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.some((id) => row.ids.some((one) => covers(id, one)));
}

/** "SMTP" covers all of SMTP-01, SMTP-02, … */
function covers(wanted: string, id: string): boolean {
  return id === wanted || id.startsWith(`${wanted}-`);
}

/** What holds for all replies of all rows. */
function ruleResults({ broken }: ReplyRules): readonly SelftestResult[] {
  return [...REPLY_RULES].map(([id, what]) => {
    const line = broken.find((one) => one.id === id)?.line;
    const outcome = line === undefined ? "passed" : "failed";
    const shown = { ids: [id], what, service: "all replies", why: line === undefined ? "" : "expected: no such reply" };
    return { ...shown, outcome, dialogue: line === undefined ? [] : [`S: ${line}`] };
  });
}

interface Telling {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly notes: readonly string[];
}

function tell(results: readonly SelftestResult[], { terminal, json, notes }: Telling): number {
  const count = (outcome: SelftestResult["outcome"]) => results.filter((one) => one.outcome === outcome).length;
  const counts = { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
  if (json) terminal.stdout(`${JSON.stringify({ ...counts, notes, rows: results }, undefined, 2)}\n`);
  else {
    for (const result of results) terminal.stdout(formatFailure(result, terminal));
    terminal.stdout(formatSkipped(results));
    terminal.stdout(formatSummary(counts, terminal));
  }
  return counts.failed > 0 ? EXIT.problems : EXIT.done;
}
