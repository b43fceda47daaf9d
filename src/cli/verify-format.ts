/** cli/verify-format.ts: the proof of a service for people: a matrix of who reaches what, and below it why, at most 100
 *  columns wide. Pure text; colour only repeats what a word already says. */
import { formatProblem } from "../config/check.ts";
import type { Problem } from "../config/snapshot.ts";
import { type Step, stepsOf } from "../proof/possible.ts";
import type { Cell } from "../proof/prove.ts";
import type { ClientClass, Destination } from "../proof/scenario.ts";
import type { ServiceProof } from "../proof/service.ts";
import { type Look, paint, wrap } from "./explain-format.ts";

export const CLIENTS: Readonly<Record<ClientClass, string>> = {
  stranger: "stranger in clear",
  strangerTls: "stranger with TLS",
  certificate: "certificate",
  login: "logged in",
  mynetworks: "in mynetworks",
};

const DESTINATIONS: readonly (readonly [Destination, string])[] = [
  ["local", "own domains"],
  ["relay", "relay domains"],
  ["foreign", "elsewhere"],
];

const NAME_WIDTH = 20;
const CELL_WIDTH = 15;

/** One block: heading, matrix, reasons, trusted hosts, problems. */
export function formatProof(proof: ServiceProof, look: Look): string {
  const { name, at, submission } = proof;
  return [
    `${name} (${at.file}:${at.line})${submission ? ", submission" : ""}\n`,
    formatMatrix(proof, look),
    formatReasons(proof),
    formatTrusted(proof),
    proof.problems.map(formatFound).join(""),
  ]
    .filter((part) => part !== "")
    .join("\n");
}

/** As check prints it, without its advice to come here. */
function formatFound(problem: Problem): string {
  const hint = problem.hint?.includes("postern verify") ? undefined : problem.hint;
  return wrap(formatProblem({ ...problem, hint }), "    ", "  ");
}

function formatMatrix({ cells }: ServiceProof, look: Look): string {
  const head = `  ${"".padEnd(NAME_WIDTH)}${DESTINATIONS.map(([, title]) => title.padEnd(CELL_WIDTH)).join("")}`;
  const rows = Object.entries(CLIENTS).map(([client, title]) => {
    const row = cells.filter((cell) => cell.client === client);
    const note = row.find((cell) => cell.note !== "")?.note;
    const shown = DESTINATIONS.map(([destination]) => formatCell(row, destination, look)).join("");
    return `  ${title.padEnd(NAME_WIDTH)}${shown}${note === undefined ? "" : `(${note})`}`.trimEnd();
  });
  return `${[head.trimEnd(), ...rows].join("\n")}\n`;
}

function formatCell(row: readonly Cell[], destination: Destination, look: Look): string {
  const verdict = row.find((cell) => cell.destination === destination)?.verdict ?? "none";
  const word = verdict === "none" ? "-" : verdict;
  const open = verdict === "always" && destination === "foreign" && isStranger(row[0]?.client);
  return paint(word, open ? 31 : verdict === "maybe" ? 33 : undefined, look) + " ".repeat(CELL_WIDTH - word.length);
}

/** Why mail to elsewhere passes or not, and for submission mail of strangers to our own domains; equal reasons together. */
function formatReasons({ cells, submission }: ServiceProof): string {
  const reached = cells.filter(({ outlook }) => outlook !== undefined);
  const foreign = reached.filter(({ destination }) => destination === "foreign");
  const own = reached.filter((cell) => submission && cell.destination === "local" && isStranger(cell.client));
  return formatReasonsTo("elsewhere", foreign) + formatReasonsTo("own domains", own);
}

function formatReasonsTo(where: string, cells: readonly Cell[]): string {
  const groups = new Map<string, { readonly verdict: string; readonly who: string[] }>();
  for (const cell of cells) {
    const reason = reasonsOf(cell)
      .map((line) => wrap(line, " ".repeat(8), " ".repeat(6)))
      .join("");
    const group = groups.get(`${cell.verdict} ${reason}`) ?? { verdict: cell.verdict, who: [] };
    group.who.push(CLIENTS[cell.client]);
    groups.set(`${cell.verdict} ${reason}`, group);
  }
  const told = [...groups].map(([key, { verdict, who }]) => {
    return wrap(`${who.join(", ")}: ${verdict}`, " ".repeat(6), " ".repeat(4)) + key.slice(verdict.length + 1);
  });
  return told.length === 0 ? "" : `  to ${where}\n${told.join("")}`;
}

function isStranger(client: ClientClass | undefined): boolean {
  return client === "stranger" || client === "strangerTls";
}

/** The step of each list that counts, then the choice that gets through. */
function reasonsOf({ outlook, verdict, candidate, client, capped }: Cell): readonly string[] {
  const lines: string[] = [];
  for (const { stage, possible } of outlook?.lists ?? []) {
    const steps = [possible.permit, possible.refuse].map((path) => stepsOf(path).at(-1));
    const unsure = possible.refuse !== undefined && (possible.permit ?? possible.next) !== undefined;
    const passes = possible.permit === undefined && possible.next === undefined;
    const step = passes ? steps[1] : (steps[0] ?? (unsure ? steps[1] : warningIn(stepsOf(possible.next))));
    if (step === undefined || (verdict === "never" && !passes)) continue;
    lines.push(`smtpd_${stage}_restrictions: ${formatStep(step, unsure)}`);
  }
  if (lines.length === 0 && verdict === "always") lines.push("no restriction refuses it");
  if (capped) lines.push("too many keys and combinations to try them all");
  if (isStranger(client) && verdict !== "never" && candidate !== undefined) {
    const { host, helo, sender, recipient } = candidate;
    const said = helo === undefined ? "without HELO" : `HELO ${helo}`;
    lines.push(`for example ${host.name}[${host.address}], ${said}, from=<${sender}> to=<${recipient}>`);
  }
  return lines;
}

function warningIn(steps: readonly Step[]): Step | undefined {
  return steps.findLast(({ says }) => says === "only warns");
}

function formatStep({ rule, says, why, unseen }: Step, unsure: boolean): string {
  const verb = unsure && unseen !== undefined ? "may permit or refuse" : says;
  const reason = why === "" ? "" : `: ${why}`;
  return `${rule.text} (${rule.at}) ${verb}${reason}`;
}

function formatTrusted({ trusted }: ServiceProof): string {
  return trusted
    .map(({ by, hosts, more }) => {
      const rest = more === 0 ? "" : ` and ${more} more`;
      return wrap(`trusted by ${by}: ${hosts.join(", ")}${rest}`, "    ", "  ");
    })
    .join("");
}
