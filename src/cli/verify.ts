/** cli/verify.ts: `postern verify`: who can send mail where through each service, proven from the configuration alone
 *  (design §8). Exit 1 if strangers can relay, or submit mail. */
import { parseArgs } from "node:util";
import { formatProblem } from "../config/check.ts";
import { proveSnapshot } from "../master/prove.ts";
import { stepsOf } from "../proof/possible.ts";
import type { Cell } from "../proof/prove.ts";
import type { ServiceProof } from "../proof/service.ts";
import { readConfiguration } from "./config-commands.ts";
import { type Command, EXIT, failed } from "./terminal.ts";
import { formatProof } from "./verify-format.ts";

const USAGE = `usage: postern [-c DIR] verify [--json]

Tells for each SMTP service which clients get mail to which destinations: always, maybe, never.
`;

const OPTIONS = { json: { type: "boolean" }, help: { type: "boolean" } } as const;

export const verify: Command = async (args, terminal) => {
  const values = parse(args);
  if ("error" in values) return failed(terminal, "verify", values.error, EXIT.usage);
  if (values.help) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  const { snapshot, problems } = await readConfiguration(terminal.configDirectory);
  if (snapshot === undefined) {
    for (const problem of problems) terminal.stderr(`${formatProblem(problem)}\n`);
    return failed(terminal, "verify", "the configuration cannot be read", EXIT.configuration);
  }
  const proofs = await proveSnapshot(snapshot);
  const errors = proofs.flatMap((proof) => proof.problems).filter(({ severity }) => severity === "error").length;
  if (values.json) terminal.stdout(`${JSON.stringify({ services: proofs.map(asJson), errors }, undefined, 2)}\n`);
  else terminal.stdout(`${proofs.map((proof) => formatProof(proof, terminal)).join("\n")}\n${summary(proofs, errors)}`);
  return errors > 0 ? EXIT.problems : EXIT.done;
};

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    return { error: `${(error as Error).message.split(". ")[0]}; see: postern verify --help` };
  }
}

/** The last line: what a tired reader needs. */
function summary(proofs: readonly ServiceProof[], errors: number): string {
  const relaying = proofs.flatMap(({ cells }) => cells).filter(isStrangerElsewhere);
  const text = relaying.some(({ verdict }) => verdict === "always")
    ? "strangers can relay"
    : relaying.some(({ verdict }) => verdict === "maybe")
      ? "it is not proven that strangers cannot relay"
      : "no stranger can relay";
  const counted = errors === 0 ? "" : `; ${errors} ${errors === 1 ? "error" : "errors"}`;
  return `postern: verify: ${text}${counted}\n`;
}

function isStrangerElsewhere({ client, destination }: Cell): boolean {
  return (client === "stranger" || client === "strangerTls") && destination === "foreign";
}

function asJson({ name, at, submission, cells, trusted, problems }: ServiceProof) {
  return {
    service: name,
    at: `${at.file}:${at.line}`,
    submission,
    cells: cells.filter(({ destination, verdict }) => destination !== "named" || verdict !== "none").map(cellAsJson),
    trusted,
    problems: problems.map((problem) => ({ severity: problem.severity, text: formatProblem(problem) })),
  };
}

function cellAsJson({ client, destination, verdict, note, candidate, outlook, unseen, capped }: Cell) {
  const path = (outlook?.lists ?? []).flatMap(({ stage, possible: { permit, next, refuse } }) =>
    [permit, next, refuse].flatMap((one) => {
      const step = stepsOf(one).at(-1);
      return step === undefined
        ? []
        : [{ stage, says: step.says, rule: step.rule.text, at: step.rule.at, why: step.why }];
    }),
  );
  return {
    client,
    destination,
    verdict,
    ...(note !== "" && { note }),
    ...(candidate && { example: { ...candidate, peer: candidate.peer?.certFingerprint } }),
    path,
    unseen: unseen.map(({ what }) => what),
    ...(capped && { capped }),
  };
}
