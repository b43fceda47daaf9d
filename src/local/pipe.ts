/** local/pipe.ts: the pipe agent (pipe(8)): mail for a command that master.cf names. The master runs it, since it alone can become
 *  another user; here the message is written into a file that becomes the command's standard input, and the end of the
 *  command becomes the outcome. */
import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { PipeCommand } from "../config/pipe-command.ts";
import { type Address, asAddress, formatAddress } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRecipient, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type CommandEnd, type CommandTexts, commandResult } from "./command-result.ts";
import { readHeader, wasDeliveredTo } from "./header-block.ts";
import { LineRewriter } from "./line-rewriter.ts";
import type { PipeValues } from "./pipe-arguments.ts";
import { bounced, deferred, type Result, sent } from "./result.ts";

/** The way to commands that only the master can run. */
export interface PipeDoor {
  /** Where messages wait for their commands; the master looks nowhere else. */
  readonly directory: string;
  /** A name that no other file there has. */
  readonly nextFileName: () => string;
  /** Runs the command of the service with a file of the directory; ends it when the signal fires. */
  readonly run: (order: PipeOrder, signal: AbortSignal) => Promise<CommandEnd>;
}

export interface PipeAgentOptions extends PipeDoor {
  /** The name of the transport. */
  readonly service: string;
  readonly command: PipeCommand;
  readonly clock: Clock;
  /** What texts call the command, and the text of success; undefined: as pipe(8). */
  readonly told?: CommandTexts | undefined;
}

/** What the master is told: values only, so that nothing but the command of master.cf can be run. */
export interface PipeOrder {
  readonly service: string;
  readonly fileName: string;
  readonly values: PipeValues;
}

/** One agent for each pipe service of master.cf. */
export function createPipeAgent(options: PipeAgentOptions): DeliveryAgent {
  const { flags } = options.command;
  const alone = flags.has("D") || flags.has("O");
  return {
    probes: true,
    async deliver(request, signal) {
      const { recipients } = request;
      // Headers that name the recipient need a message for each: Postfix insists on a recipient limit of 1.
      const groups = alone ? recipients.map((recipient) => [recipient]) : [recipients];
      const outcomes: RcptOutcome[] = [];
      for (const group of groups) outcomes.push(...(await deliverGroup({ request, group, signal }, options)));
      return outcomes;
    },
    async close() {},
  };
}

interface Group {
  readonly request: DeliveryRequest;
  readonly group: readonly DeliveryRecipient[];
  readonly signal: AbortSignal;
}

async function deliverGroup(delivery: Group, options: PipeAgentOptions): Promise<readonly RcptOutcome[]> {
  const { clock, service } = options;
  const started = clock.monotonic();
  const result = await deliverTo(delivery, options).catch((error) => failed(error, delivery.signal));
  const transmitMs = clock.monotonic() - started;
  const common = { relay: service, connectMs: 0, transmitMs };
  const dsnAction = options.command.flags.has("X") ? undefined : ("relayed" as const);
  return delivery.group.map(({ id }) => ({ recipientId: id, ...common, ...result, dsnAction }));
}

async function deliverTo({ request, group, signal }: Group, options: PipeAgentOptions): Promise<Result> {
  const { command, service, directory, nextFileName, run } = options;
  const told = options.told ?? { command: command.argv[0], done: `delivered via ${service} service` };
  if (request.content.sizeBytes > command.sizeLimit) return bounced("5.2.3", "message too large");
  if (request.probe) return sent(`delivers to command: ${printableUtf8(told.command)}`);
  const [first] = group;
  if (first && command.flags.has("D")) {
    const looped = wasDeliveredTo(await readHeader(request.content), formatAddress(first.address));
    if (looped) return bounced("5.4.6", `mail forwarding loop for ${printableUtf8(first.address)}`);
  }
  const fileName = nextFileName();
  const path = join(directory, fileName);
  try {
    await writeMessage(path, { request, recipient: first, signal }, options);
    const end = await run({ service, fileName, values: valuesOf(request, group) }, signal);
    return commandResult(end, told);
  } finally {
    // The command has it open, or it was never run; what cannot be removed is removed at the next start.
    await unlink(path).catch(() => undefined);
  }
}

function valuesOf(request: DeliveryRequest, group: readonly DeliveryRecipient[]): PipeValues {
  const { envelope, content, nexthop } = request;
  const { origin } = envelope;
  return {
    sender: envelope.sender,
    nexthop,
    recipients: group.map(({ address, original }) => ({ address, original })),
    message: {
      ...{ queue_id: envelope.queueId, size: String(content.sizeBytes), envid: envelope.dsn?.envid ?? "" },
      ...{ client_address: origin.clientAddress, client_hostname: origin.clientName, client_helo: origin.helo ?? "" },
      ...{ client_protocol: origin.protocol, client_port: "", sasl_method: origin.saslMethod ?? "" },
      ...{ sasl_username: origin.saslUsername ?? "", sasl_sender: origin.saslSender ?? "" },
    },
  };
}

interface Message {
  readonly request: DeliveryRequest;
  readonly recipient: DeliveryRecipient | undefined;
  readonly signal: AbortSignal;
}

async function writeMessage(path: string, message: Message, { command, clock }: PipeAgentOptions): Promise<void> {
  const { flags, eol } = command;
  const rewriter = new LineRewriter({ eol, stuffDots: flags.has("."), quoteFrom: flags.has(">") });
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(headLines(message, command, clock.now()));
  for await (const chunk of message.request.content.chunks()) {
    message.signal.throwIfAborted();
    await file.writeFile(rewriter.convert(chunk));
  }
  await file.writeFile(rewriter.end());
  if (flags.has("B")) await file.writeFile(Buffer.from(eol, "latin1"));
}

/** In mail_copy(3postfix)'s order. Addresses are made printable: a line end in one would begin a header of the sender's. */
function headLines(
  { request, recipient }: Message,
  { flags, eol, nullSender }: PipeCommand,
  nowMs: number,
): Uint8Array {
  const shown = (address: Address) => printableUtf8(formatAddress(address));
  const { sender } = request.envelope;
  const lines: string[] = [];
  if (flags.has("F")) {
    lines.push(`From ${shown(sender === "" ? asAddress(nullSender || "MAILER-DAEMON") : sender)}  ${ctime(nowMs)}`);
  }
  if (flags.has("R")) lines.push(`Return-Path: <${shown(sender === "" ? asAddress(nullSender) : sender)}>`);
  if (recipient && flags.has("O")) {
    lines.push(`X-Original-To: ${shown(recipient.original === "" ? recipient.address : recipient.original)}`);
  }
  if (recipient && flags.has("D")) lines.push(`Delivered-To: ${shown(recipient.address)}`);
  return Buffer.concat(lines.map((line) => Buffer.concat([Buffer.from(line), Buffer.from(eol, "latin1")])));
}

/** `Tue Nov 24 15:14:54 2026`, local time, as asctime(3). */
function ctime(ms: number): string {
  const [, day, month, date, year, time] =
    /^(\w{3}) (\w{3}) (\d{2}) (\d{4}) ([\d:]{8})/.exec(new Date(ms).toString()) ?? [];
  return `${day} ${month} ${date?.replace(/^0/, " ")} ${time} ${year}`;
}

/** Nobody got it: the command was not run, or was ended. */
function failed(error: unknown, signal: AbortSignal): Result {
  if (signal.aborted) return deferred("4.3.0", "delivery was interrupted");
  return deferred(
    "4.3.0",
    `pipe delivery failed: ${printableUtf8(error instanceof Error ? error.message : String(error))}`,
  );
}
