/** smtp/testdata/world.ts: what a client needs around it in a test: a name service from a table, a log in an array, a
 *  request from a few words. */
import { systemClock } from "../../base/clock.ts";
import { Deadlines } from "../../base/deadlines.ts";
import { parametersOf } from "../../config/parameters.ts";
import type { Dns, DnsAnswer, MxRecord } from "../../dns/resolver.ts";
import { Log, type LogRecord } from "../../log/log.ts";
import { asAddress } from "../../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest, RcptOutcome } from "../../mail/delivery.ts";
import type { Envelope } from "../../mail/envelope.ts";
import type { QueueId } from "../../mail/queue-id.ts";
import { type LookupTable, TableError, type TableOpener } from "../../tables/table.ts";
import { createSmtpAgent, type SmtpAgentOptions } from "../create.ts";

export type Zone = Readonly<Record<string, { mx?: readonly MxRecord[]; a?: readonly string[]; temporary?: boolean }>>;

export function zoneDns(zone: Zone): Dns {
  const missing = { kind: "notFound", text: "Host not found" } as const;
  function answer<T>(name: string, records: readonly T[] | undefined): DnsAnswer<T> {
    if (zone[name]?.temporary) return { kind: "temporary", text: "Host not found, try again" };
    return records ? { kind: "found", records } : missing;
  }
  return {
    mx: async (domain) => answer(domain, zone[domain]?.mx),
    addresses: async (host) =>
      answer(
        host,
        zone[host]?.a?.map((address) => ({ address, family: 4 as const })),
      ),
    reverse: async () => missing,
    close: () => {},
  };
}

export interface World {
  readonly agent: DeliveryAgent;
  readonly lines: string[];
  /** The same with all that is known of each. */
  readonly records: readonly LogRecord[];
  deliver(request: Partial<RequestWords>): Promise<readonly RcptOutcome[]>;
}

export interface RequestWords {
  readonly nexthop: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly content: string | readonly Uint8Array[];
  /** Where the queue says something else than the content is. */
  readonly sizeBytes: number;
  readonly smtputf8: boolean;
  readonly requireTls: boolean;
  readonly tlsOptional: boolean;
  readonly body: Envelope["body"];
  /** Only asks. */
  readonly probe: true;
  /** How long the message was in the queue. */
  readonly queuedMs: number;
  readonly signal: AbortSignal;
  readonly wishes: Pick<Envelope, "deliverBy" | "priority">;
}

export function createWorld(options: {
  readonly nexthop: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly zone?: Zone;
  readonly tables?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Real tables instead. */
  readonly opener?: TableOpener;
  readonly myAddresses?: readonly string[];
  readonly protocol?: "smtp" | "lmtp";
  readonly tlsFiles?: SmtpAgentOptions["tlsFiles"];
  readonly mtaSts?: SmtpAgentOptions["mtaSts"];
  readonly tally?: SmtpAgentOptions["tally"];
  /** Instead of the zone. */
  readonly dns?: Dns;
}): World {
  const lines: string[] = [];
  const records: LogRecord[] = [];
  const log = new Log({ sink: (r) => void (records.push(r), lines.push(r.text)), now: () => 0, tag: "postfix/smtp", id: 1 });
  const agent = createSmtpAgent({
    params: parametersOf(options.settings ?? {}),
    dns: options.dns ?? zoneDns(options.zone ?? {}),
    tables: options.opener ?? { open: (ref) => tableOf(ref, options.tables?.[ref]) },
    clock: systemClock,
    deadlines: new Deadlines(systemClock),
    log,
    myAddresses: options.myAddresses ?? [],
    protocol: options.protocol,
    tlsFiles: options.tlsFiles,
    mtaSts: options.mtaSts,
    tally: options.tally,
  });
  const never = new AbortController().signal;
  return {
    agent,
    lines,
    records,
    deliver: (words) => agent.deliver(requestOf({ nexthop: options.nexthop, ...words }), words.signal ?? never),
  };
}

function tableOf(ref: string, values: Readonly<Record<string, string>> | undefined): LookupTable {
  return {
    ref,
    partialKeys: true,
    get(key) {
      if (!values) throw new TableError(`Cannot open table "${ref}"`);
      return values[key];
    },
  };
}

function requestOf(words: Partial<RequestWords> & { nexthop: string }): DeliveryRequest {
  const content = words.content ?? "Subject: hi\r\n\r\nhello\r\n";
  const chunks = typeof content === "string" ? [Buffer.from(content)] : content;
  const recipients = words.recipients ?? ["one@dest.test"];
  return {
    envelope: {
      queueId: "4CAFE" as QueueId,
      sender: asAddress(words.sender ?? "sender@example.org"),
      arrivalMs: 0,
      smtputf8: words.smtputf8 ?? false,
      ...words.wishes,
      body: words.body ?? "8BITMIME",
      requireTls: words.requireTls,
      tlsOptional: words.tlsOptional,
      origin: { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" },
    },
    transport: "smtp",
    nexthop: words.nexthop,
    recipients: recipients.map((r, i) => ({ id: i + 1, address: asAddress(r), original: asAddress(r) })),
    content: { sizeBytes: words.sizeBytes ?? chunks.reduce((n, c) => n + c.length, 0), chunks: () => chunks },
    activeMs: words.queuedMs ?? 0,
    probe: words.probe,
  };
}
