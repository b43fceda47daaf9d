/** local/local.ts: the local agent: mail for users of this machine, into maildirs (local(8) in small). Aliases are not expanded:
 *  their mail waits. No .forward, no commands, no mbox; it never changes its user id, so the server's user must be able to
 *  write the maildirs. */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, domainOf, formatAddress, localPartOf } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRecipient, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { lookupTables, splitExtension } from "../tables/keys.ts";
import { type LookupTable, TableError } from "../tables/table.ts";
import { wasDeliveredTo } from "./delivered-to.ts";
import { writeToMaildir } from "./maildir.ts";
import { parsePasswd } from "./passwd.ts";

export interface LocalAgentOptions {
  readonly params: Parameters;
  readonly clock: Clock;
  /** For file names. */
  readonly hostname: string;
  /** For file names: unique among the processes that deliver here. */
  readonly pid: number;
  /** Text of /etc/passwd, read anew when it may have changed; "" where nobody has a home. */
  passwd(): string;
  /** If given, an address that $local_recipient_maps does not list is an unknown user. */
  readonly resolver?: Pick<AddressResolver, "unlistedIn"> | undefined;
  /** alias_maps. */
  readonly aliases?: readonly LookupTable[] | undefined;
}

type Result = Pick<RcptOutcome, "kind" | "dsn" | "text">;

/** Names that are safe as one part of a path. */
const SAFE_NAME = /^[a-z0-9_][a-z0-9_.+=~-]{0,63}$/;
const SAFE_DOMAIN = /^[a-z0-9[][a-z0-9.:\]_-]{0,253}$/;

/** One agent for each worker and configuration generation. */
export function createLocalAgent(options: LocalAgentOptions): DeliveryAgent {
  let deliveries = 0;
  const passwd = memoLast(parsePasswd);
  const deliverOne = async (request: DeliveryRequest, recipient: DeliveryRecipient, signal: AbortSignal) => {
    const target = await findMaildir(recipient.address, options, passwd);
    if (typeof target !== "string") return target;
    if (request.probe) return { kind: "sent", dsn: "2.0.0", text: "delivers to maildir" } as const;
    if (await wasDeliveredTo(request.content, formatAddress(recipient.address))) {
      return bounced("5.4.6", `mail forwarding loop for ${printableUtf8(recipient.address)}`);
    }
    const fileName = maildirFileName(options, ++deliveries);
    const head = Buffer.from(headLines(request, recipient));
    await writeToMaildir({ directory: target, fileName, head, content: request.content }, signal);
    return sent();
  };
  return {
    probes: true,
    async deliver(request, signal) {
      const outcomes: RcptOutcome[] = [];
      for (const recipient of request.recipients) {
        const started = options.clock.monotonic();
        const result = await deliverOne(request, recipient, signal).catch(failed);
        const transmitMs = options.clock.monotonic() - started;
        outcomes.push({ recipientId: recipient.id, ...result, relay: "local", connectMs: 0, transmitMs });
      }
      return outcomes;
    },
    async close() {},
  };
}

/** The maildir's absolute name, or why there is none. Rejects TableError. */
async function findMaildir(
  address: Address,
  { params, passwd, resolver, aliases = [] }: LocalAgentOptions,
  parse: (text: string) => ReadonlyMap<string, string>,
): Promise<string | Result> {
  const local = localPartOf(address).toLowerCase();
  const user = splitExtension(local, params.text("recipient_delimiter"))?.base ?? local;
  const domain = (domainOf(address) ?? params.text("myhostname")).toLowerCase();
  const unknown = bounced("5.1.1", `unknown user: "${printableUtf8(user)}"`);
  // RCPT took it because alias_maps lists it. A bounce would be wrong, a maildir of that name nobody would read.
  if (await lookupTables(aliases, new Set([local, user]))) {
    return deferred("4.3.5", `alias "${printableUtf8(user)}" cannot be expanded here; put it into virtual_alias_maps`);
  }
  if (!SAFE_NAME.test(user) || !SAFE_DOMAIN.test(domain)) return unknown;
  if (resolver && (await resolver.unlistedIn(address)) !== undefined) return unknown;

  const pattern = params.get("postern_local_maildir");
  const fill = (text: string) => params.expand(fillNames(text, { user, domain }));
  if (pattern !== "") return asMaildir(fill(pattern));
  const home = parse(passwd()).get(user);
  if (home === undefined) return unknown;
  const homeMailbox = fill(params.get("home_mailbox"));
  if (homeMailbox !== "") return asMaildir(`${home}/${homeMailbox}`);
  const spool = fill(params.get("mail_spool_directory"));
  return asMaildir(spool.endsWith("/") ? `${spool}${user}/` : spool);
}

/** Our names first: expansion knows parameters only, and the names hold no "$". */
function fillNames(text: string, names: { readonly user: string; readonly domain: string }): string {
  return text.replace(/\$(?:(user|domain)\b|\{(user|domain)\}|\((user|domain)\))/g, (_, a, b, c) =>
    (a ?? b ?? c) === "user" ? names.user : names.domain,
  );
}

function asMaildir(path: string): string | Result {
  if (!path.startsWith("/")) return deferred("4.3.5", "mailbox path is not absolute");
  if (!path.endsWith("/")) return deferred("4.3.5", "mailbox format is not supported; the name of a maildir ends in /");
  return join(path);
}

/** local(8)'s order of headers. Addresses are made printable: a line end in one would begin a header of the sender's. */
function headLines(request: DeliveryRequest, recipient: DeliveryRecipient): string {
  const line = (name: string, address: Address) => `${name}: ${printableUtf8(formatAddress(address))}\n`;
  const original = recipient.original === "" ? recipient.address : recipient.original;
  return [
    `Return-Path: <${printableUtf8(formatAddress(request.envelope.sender))}>\n`,
    line("X-Original-To", original),
    line("Delivered-To", recipient.address),
  ].join("");
}

/** seconds.M<microseconds>P<pid>Q<delivery>.host, with the two characters that mean something in maildirs escaped. */
function maildirFileName({ clock, hostname, pid }: LocalAgentOptions, delivery: number): string {
  const micros = clock.nowMicros();
  const host = hostname.replace(/[^A-Za-z0-9._-]/g, "_");
  return `${Math.floor(micros / 1e6)}.M${micros % 1e6}P${pid}Q${delivery}.${host}`;
}

function sent(): Result {
  return { kind: "sent", dsn: "2.0.0", text: "delivered to maildir" };
}

function bounced(dsn: string, text: string): Result {
  return { kind: "bounced", dsn, text };
}

function deferred(dsn: string, text: string): Result {
  return { kind: "deferred", dsn, text };
}

/** Whatever went wrong, this recipient waits; a throw would repeat the recipients that were delivered before. */
function failed(error: unknown): Result {
  if (error instanceof TableError) return deferred("4.3.0", "table lookup problem");
  if (error instanceof Error && error.name === "AbortError") return deferred("4.3.0", "delivery was interrupted");
  if (error instanceof Error && "code" in error && "syscall" in error) {
    const [reason = error.message] = error.message.split(", ");
    return deferred("4.3.0", `maildir delivery failed: ${error.syscall}: ${printableUtf8(reason)}`);
  }
  return deferred("4.3.0", `local delivery failed: ${printableUtf8(String(error))}`);
}

/** Keeps the last result: the passwd text is the same object until the file changes. */
function memoLast(parse: (text: string) => ReadonlyMap<string, string>) {
  let last: { readonly text: string; readonly value: ReadonlyMap<string, string> } | undefined;
  return (text: string) => {
    if (last?.text !== text) last = { text, value: parse(text) };
    return last.value;
  };
}
