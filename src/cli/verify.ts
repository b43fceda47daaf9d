/** cli/verify.ts: `postern verify`: who can send mail where through each service, proven from the configuration alone
 *  (design §8). Exit 1 if strangers can relay, or submit mail. */
import { parseArgs } from "node:util";
import { canonicalIp } from "../base/cidr.ts";
import { formatProblem } from "../config/check.ts";
import { proveSnapshot } from "../master/prove.ts";
import { stepsOf } from "../proof/possible.ts";
import type { Cell } from "../proof/prove.ts";
import type { ServiceProof } from "../proof/service.ts";
import { requireConfiguration } from "./config-commands.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { formatProof } from "./verify-format.ts";
import { formatProbe, type LiveOptions, type LiveProbe, probeServices } from "./verify-live.ts";

const USAGE = `usage: postern [-c DIR] verify [--json]
       postern [-c DIR] verify --live [--to ADDRESS] [--from-address IP] [--login USER --password-stdin] [--json]

Tells for each SMTP service which clients get mail to which destinations: always, maybe, never.
With --live it also asks the running server, up to RCPT, and shows what was said; no message is sent.
`;

const OPTIONS = {
  json: { type: "boolean" },
  live: { type: "boolean" },
  to: { type: "string" },
  "from-address": { type: "string" },
  login: { type: "string" },
  "password-stdin": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** A recipient that is nobody's (RFC 2606). */
const NOBODY = "user@postern-verify.invalid";

export const verify: Command = async (args, terminal) => {
  const values = parse(args);
  if ("error" in values) return failed(terminal, "verify", values.error, EXIT.usage);
  if (values.help) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  const snapshot = await requireConfiguration(terminal, "verify");
  if (snapshot === undefined) return EXIT.configuration;
  const proofs = await proveSnapshot(snapshot);
  const live = values.live ? await probeServices(snapshot, proofs, await liveOptions(values, terminal)) : undefined;
  const errors = proofs.flatMap((proof) => proof.problems).filter(({ severity }) => severity === "error").length;
  if (values.json) {
    const answer = { services: proofs.map(asJson), errors, ...(live && { live }) };
    terminal.stdout(`${JSON.stringify(answer, undefined, 2)}\n`);
  } else {
    const probes = (live ?? []).map((one) => `${formatProbe(one, terminal)}\n`).join("") + sourceNote(live ?? []);
    const blocks = proofs.map((proof) => formatProof(proof, terminal)).join("\n");
    terminal.stdout(`${blocks}\n${probes}${summary(proofs, errors)}`);
  }
  return exitCode(errors, live, terminal);
};

function parse(args: readonly string[]) {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS });
    const { live, to, login, "from-address": from, "password-stdin": password } = values;
    if (!live && (to ?? from ?? login ?? password) !== undefined) return { error: "these options need --live" };
    if ((login === undefined) !== (password === undefined))
      return { error: "--login and --password-stdin go together" };
    if (from !== undefined && canonicalIp(from) === undefined)
      return { error: `--from-address: no address: "${from}"` };
    if (/[\x00-\x20\x7f<>]/.test(`${to ?? ""}`)) return { error: `--to: no address: "${to}"` };
    return values;
  } catch (error) {
    return { error: `${(error as Error).message.split(". ")[0]}; see: postern verify --help` };
  }
}

type Values = Exclude<ReturnType<typeof parse>, { error: string }>;

async function liveOptions(values: Values, terminal: Terminal): Promise<LiveOptions> {
  const { login, to = NOBODY, "from-address": fromAddress } = values;
  if (login === undefined) return { to, fromAddress, login };
  const password = (await terminal.stdin()).split(/\r?\n/, 1)[0] ?? "";
  return { to, fromAddress, login: { username: login, password } };
}

function exitCode(errors: number, live: readonly LiveProbe[] | undefined, terminal: Terminal): number {
  const contradictions = live?.filter(({ agreement }) => agreement === "contradicts") ?? [];
  if (contradictions.length > 0) {
    return failed(terminal, "verify", "the running server does what was proven not to happen", EXIT.problems);
  }
  if (live?.every(({ outcome }) => outcome === "failed")) {
    return failed(
      terminal,
      "verify",
      "no service answered; is the mail system running? postern status",
      EXIT.notRunning,
    );
  }
  return errors > 0 ? EXIT.problems : EXIT.done;
}

/** Whoever asks from a trusted address learns nothing about strangers. */
function sourceNote(live: readonly LiveProbe[]): string {
  if (!live.some(({ client }) => client === "mynetworks")) return "";
  return "from an address in mynetworks nothing is learnt about strangers; --from-address takes another of this machine\n\n";
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
