/** cli/explain.ts: `postern explain`: what the restrictions of a service would say to a client, and why the running server
 *  refused. The evaluation is the server's own (master/rehearse.ts); how it is told is explain-format.ts. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { canonicalIp } from "../base/cidr.ts";
import { ParameterError } from "../config/declare.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import {
  explainable,
  type ImaginedSession,
  type Rehearsed,
  rehearseSession,
  STAGES,
  type Surroundings,
} from "../master/rehearse.ts";
import type { Explanation } from "../smtpd/explanation.ts";
import { type Act, isRefused } from "../smtpd/rehearsal.ts";
import { requireConfiguration } from "./config-commands.ts";
import { formatAnswer, formatSentence, formatSteps, formatWho, wrap } from "./explain-format.ts";
import { formatAsctime } from "./queue-format.ts";
import { control } from "./server-commands.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

const USAGE = `usage: postern explain --service NAME --client ADDRESS --from ADDRESS --to ADDRESS ...
  [--name NAME] [--reverse-name NAME] [--helo NAME] [--tls] [--cert FINGERPRINT]
  [--sasl-user LOGIN] [--sasl-method NAME] [--size BYTES]
  [--stage ${STAGES.join("|")}]
  [--no-dns] [--ask-policy] [--json]
       postern explain --last [COUNT] [--json]
       postern explain ID [--json]
`;

const OPTIONS = {
  service: { type: "string" },
  client: { type: "string" },
  name: { type: "string" },
  "reverse-name": { type: "string" },
  helo: { type: "string" },
  tls: { type: "boolean" },
  cert: { type: "string" },
  "sasl-user": { type: "string" },
  "sasl-method": { type: "string" },
  size: { type: "string" },
  from: { type: "string" },
  to: { type: "string", multiple: true },
  stage: { type: "string" },
  "no-dns": { type: "boolean" },
  "ask-policy": { type: "boolean" },
  json: { type: "boolean" },
  last: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

/** What the operator got wrong on the command line. */
class UsageError extends Error {
  override readonly name = "UsageError";
}

export const explain: Command = (args, terminal) =>
  runExplain(args, terminal, { hostsText: readFileSync("/etc/hosts", "latin1") });

/** The same with another name service. */
export async function runExplain(
  args: readonly string[],
  terminal: Terminal,
  surroundings: Surroundings,
): Promise<number> {
  try {
    const { values, positionals } = parse(args);
    if (values.help) {
      terminal.stdout(USAGE);
      return EXIT.done;
    }
    const [word] = positionals;
    if (positionals.length > 1) throw new UsageError(`unexpected argument "${positionals[1]}"`);
    if (values.last || word !== undefined) return await explainRefusals(word, values, terminal);
    return await explainImagined(values, terminal, surroundings);
  } catch (error) {
    if (error instanceof UsageError) return failed(terminal, "explain", error.message, EXIT.usage);
    if (!(error instanceof ParameterError)) throw error;
    return failed(terminal, "explain", `${error.message}; see: postern check`, EXIT.configuration);
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(". ")[0]}; see: postern explain --help`);
  }
}

// ── refusals of the running server ──

const DEFAULT_LAST = 1;
const ALL = 1_000_000;

async function explainRefusals(word: string | undefined, values: Values, terminal: Terminal): Promise<number> {
  const id = values.last ? undefined : word;
  if (id !== undefined && !/^\d+\.\d+$/.test(id)) {
    throw new UsageError(`"${id}" is no explain id, such as 512.1 behind "explain: id=" in the log`);
  }
  const last = values.last && word !== undefined ? count(word, "--last") : DEFAULT_LAST;
  const answer = await control(terminal, "refusals", { id, last: id === undefined ? last : ALL });
  if (answer === undefined) {
    return failed(terminal, "explain", "the mail system is not running; start it: postern start", EXIT.notRunning);
  }
  const found = answer as readonly Explanation[];
  if (values.json) {
    terminal.stdout(`${JSON.stringify(found.map(withSentence), undefined, 2)}\n`);
    return id !== undefined && found.length === 0 ? EXIT.problems : EXIT.done;
  }
  if (found.length === 0) {
    const what = id === undefined ? "no refusal" : `no refusal ${id}`;
    return failed(
      terminal,
      "explain",
      `${what} is kept; postern_refusal_log_limit says how many are`,
      id === undefined ? EXIT.done : EXIT.problems,
    );
  }
  terminal.stdout(found.map((explanation) => formatRefusal(explanation, terminal)).join("\n"));
  return EXIT.done;
}

function withSentence(e: Explanation) {
  return { ...e, at: new Date(e.atMs).toISOString(), sentence: sentenceOf(e) };
}

function sentenceOf(e: Explanation): string {
  return formatSentence({ line: e.command, explanation: e, reply: e.reply });
}

function formatRefusal(e: Explanation, terminal: Terminal): string {
  return [
    `${e.id}  ${formatAsctime(e.atMs)}  ${e.command} at service ${e.service}\n`,
    formatWho(e),
    formatSteps(e.steps, terminal),
    "\n",
    formatAnswer(e.reply, e),
    "\n",
    wrap(sentenceOf(e), ""),
  ].join("");
}

// ── a client that is not there ──

async function explainImagined(values: Values, terminal: Terminal, surroundings: Surroundings): Promise<number> {
  const snapshot = await requireConfiguration(terminal, "explain");
  if (snapshot === undefined) return EXIT.configuration;
  const imagined = imagine(values, chooseService(values.service, snapshot));
  const rehearsed = await rehearseSession(snapshot, imagined, surroundings);
  terminal.stdout(values.json ? formatJson(imagined, rehearsed) : formatText(imagined, rehearsed, terminal));
  return EXIT.done;
}

function chooseService(name: string | undefined, snapshot: ConfigSnapshot): ServiceEntry {
  const all = explainable(snapshot);
  const [only] = all;
  if (name === undefined && only !== undefined && all.length === 1) return only;
  const found =
    all.find((service) => service.name === name) ?? all.find((service) => service.name.endsWith(`:${name}`));
  if (found !== undefined) return found;
  const list = all.map((service) => `${service.name} (${placeOf(service)})`).join(", ") || "none";
  const problem = name === undefined ? "--service is missing" : `no SMTP service "${name}" in master.cf`;
  throw new UsageError(`${problem}; there are: ${list}`);
}

function placeOf({ at }: ServiceEntry): string {
  return `${at.file}:${at.line}`;
}

function imagine(values: Values, service: ServiceEntry): ImaginedSession {
  const stage = STAGES.find((name) => name === (values.stage ?? "rcpt"));
  if (stage === undefined) throw new UsageError(`--stage is one of ${STAGES.join(", ")}`);
  for (const [option, value] of Object.entries(values)) {
    if ([value].flat().some((text) => typeof text === "string" && /[\x00-\x1f\x7f]/.test(text))) {
      throw new UsageError(`--${option} holds a control character`);
    }
  }
  const client = canonicalIp(required(values.client, "--client"));
  if (client === undefined) throw new UsageError(`--client is an IPv4 or IPv6 address, not "${values.client}"`);
  const { sender, recipients } = envelopeOf(values, stage);
  return {
    service,
    stage,
    client,
    name: values.name,
    reverseName: values["reverse-name"],
    helo: values.helo,
    tls: values.tls ?? false,
    certificate: values.cert?.toUpperCase(),
    login: loginOf(values),
    sender,
    recipients,
    sizeBytes: values.size === undefined ? undefined : count(values.size, "--size"),
    askDns: !values["no-dns"],
    askPolicy: values["ask-policy"] ?? false,
  };
}

/** Addresses that the stage needs; angle brackets may be there. */
function envelopeOf(values: Values, stage: ImaginedSession["stage"]) {
  const bare = (address: string) => address.replace(/^<(.*)>$/, "$1");
  const needsSender = ["mail", "rcpt", "data", "end-of-data"].includes(stage);
  const needsRecipient = ["rcpt", "data", "end-of-data", "etrn", "vrfy"].includes(stage);
  const sender = needsSender ? bare(required(values.from, '--from (the null sender is "<>")')) : "";
  const recipients = (values.to ?? []).map(bare);
  if (needsRecipient && recipients.length === 0) {
    throw new UsageError(`--to is missing${stage === "etrn" ? " (the domain)" : ""}`);
  }
  return { sender, recipients };
}

function loginOf(values: Values): ImaginedSession["login"] {
  const username = values["sasl-user"];
  if (username === undefined && values["sasl-method"] !== undefined)
    throw new UsageError("--sasl-method needs --sasl-user");
  return username === undefined ? undefined : { username, method: (values["sasl-method"] ?? "PLAIN").toUpperCase() };
}

function required(value: string | undefined, option: string): string {
  if (value === undefined) throw new UsageError(`${option} is missing; see: postern explain --help`);
  return value;
}

function count(text: string, option: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${option} takes a number, not "${text}"`);
  return Number(text);
}

function formatText({ service }: ImaginedSession, rehearsed: Rehearsed, terminal: Terminal): string {
  const { acts, notes, warnings } = rehearsed;
  const lines = [`service ${service.name} (${placeOf(service)})\n`];
  for (const note of notes) lines.push(wrap(note, " ".repeat(8), "  note: "));
  for (const [i, act] of acts.entries()) {
    if (i === acts.length - 1 || isRefused(act)) lines.push(formatAct(act, terminal));
    else if (act.explanation?.steps.length)
      lines.push(`\n${wrap(act.line, "  ", "")}`, formatAnswer(act.reply, undefined));
  }
  lines.push(...warnings.map((warning) => wrap(warning, " ".repeat(10), "warning   ")));
  lines.push("\n", wrap(closing(rehearsed), ""));
  return lines.join("");
}

function formatAct({ line, explanation, reply }: Act, terminal: Terminal): string {
  const told = explanation === undefined ? "" : formatWho(explanation) + formatSteps(explanation.steps, terminal);
  return `\n${wrap(line, "  ", "")}${told}\n${formatAnswer(reply, explanation)}`;
}

/** The last word, and what it does not know. */
function closing({ acts, protocolRule }: Rehearsed): string {
  const last = acts.at(-1);
  if (last === undefined) return "Nothing happened.";
  const sentence =
    protocolRule === undefined
      ? formatSentence(last)
      : `${last.reply[0]?.startsWith("5") ? "Refused" : "Deferred"} at ${last.line.split(" ")[0]} because of ${protocolRule.text} (${protocolRule.at}), before any restriction.`;
  const steps = acts.flatMap(({ explanation }) => explanation?.steps ?? []);
  const unasked = new Set(steps.filter(({ result }) => result === "notAsked").map(({ rule }) => rule.text));
  if (unasked.size === 0) return sentence;
  return `${sentence} Not asked, and it may say otherwise: ${[...unasked].join(", ")}.`;
}

function formatJson({ service }: ImaginedSession, rehearsed: Rehearsed): string {
  const told = { service: service.name, at: placeOf(service), sentence: closing(rehearsed), ...rehearsed };
  return `${JSON.stringify(told, undefined, 2)}\n`;
}
