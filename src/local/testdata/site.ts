/** local/testdata/site.ts: a local agent over settings in main.cf's own words, with real directories, tables and addresses. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../base/clock.ts";
import { parametersOf } from "../../config/parameters.ts";
import { Log } from "../../log/log.ts";
import { asAddress } from "../../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest, RcptOutcome } from "../../mail/delivery.ts";
import type { RecipientDsn } from "../../mail/dsn.ts";
import type { Envelope } from "../../mail/envelope.ts";
import type { QueueId } from "../../mail/queue-id.ts";
import { createResolver } from "../../rewrite/create.ts";
import { createMappings } from "../../rewrite/mappings.ts";
import { openAliases } from "../../rewrite/recipients.ts";
import { createTableOpener } from "../../tables/open.ts";
import { TableError } from "../../tables/table.ts";
import type { CommandEnd } from "../command-result.ts";
import { createLocalAgent } from "../local.ts";
import { maildirNames } from "../maildir-name.ts";
import type { PipeOrder } from "../pipe.ts";

export const never = new AbortController().signal;

export interface SiteOptions {
  /** main.cf. mydestination is here.test, the delimiter "+". */
  readonly settings?: Readonly<Record<string, string>>;
  /** Users with a home directory under the root. */
  readonly users?: readonly string[];
  /** User ids in /etc/passwd; default: that of the test. */
  readonly uidOf?: (user: string) => number;
  /** Other transports. */
  readonly agents?: Readonly<Record<string, DeliveryAgent>>;
  /** How commands end. */
  readonly commandEnd?: CommandEnd;
  /** Whether local_recipient_maps is asked. */
  readonly listed?: boolean;
}

export class Site {
  readonly root: string;
  readonly warnings: string[] = [];
  /** What the master was asked to run, with what. */
  readonly orders: { readonly order: PipeOrder; readonly text: string }[] = [];
  readonly agent: DeliveryAgent;
  #ids = 0;

  constructor(options: SiteOptions = {}) {
    this.root = mkdtempSync(join(tmpdir(), "local-agent-"));
    const users = options.users ?? ["alice"];
    for (const user of users) mkdirSync(this.home(user));
    const uidOf = options.uidOf ?? (() => process.getuid?.() ?? 0);
    const passwd = users.map((user) => `${user}:x:${uidOf(user)}:1::${this.home(user)}:/bin/sh\n`).join("");
    const settings = { mydestination: "here.test", myorigin: "here.test", recipient_delimiter: "+", alias_maps: "" };
    const lists = options.listed === true ? {} : { local_recipient_maps: "" };
    const params = parametersOf({ ...settings, ...lists, ...options.settings });
    const files = {
      read(path: string): Uint8Array {
        throw new TableError(`open ${path}: No such file or directory`);
      },
    };
    const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
    const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
    const resolver = createResolver(params, { tables, ownAddresses: [] });
    const mappings = createMappings(params, { tables, resolver });
    const open = (refs: readonly string[]) => refs.map((ref) => tables.open(ref));
    this.agent = createLocalAgent({
      params,
      clock: systemClock,
      nextFileName: maildirNames({ clock: systemClock, hostname: "mail.example.org", pid: 42 }),
      passwd: () => passwd,
      resolver,
      tables: {
        aliases: openAliases(params, tables),
        mailboxTransports: open(params.get("mailbox_transport_maps")),
        fallbackTransports: open(params.get("fallback_transport_maps")),
      },
      nextQueueId: () => `Q${++this.#ids}` as QueueId,
      mapRecipient: (address) => mappings.expand(address),
      pipes: {
        directory: this.root,
        nextFileName: () => "0.1",
        run: async (order) => {
          this.orders.push({ order, text: readFileSync(join(this.root, order.fileName), "latin1") });
          return options.commandEnd ?? { kind: "exit", status: 0, output: "" };
        },
      },
      agentOf: (transport) => options.agents?.[transport],
      warn: (text) => this.warnings.push(text),
    });
  }

  home(user: string): string {
    return join(this.root, `home-${user}`);
  }

  async deliver(to: string, options: RequestOptions = {}): Promise<RcptOutcome> {
    const [outcome] = await this.agent.deliver(requestFor([to], options), never);
    if (!outcome) throw new Error("no outcome");
    return outcome;
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export interface RequestOptions {
  readonly nexthop?: string;
  readonly message?: string;
  readonly sender?: string;
  readonly dsn?: RecipientDsn;
  readonly original?: string;
  readonly asks?: Partial<Pick<Envelope, "requireTls" | "tlsOptional">> | undefined;
  readonly probe?: true;
}

export const MESSAGE =
  "From: a@x.test\r\nDelivered-To: loop@here.test\r\nMessage-ID: <m@x.test>\r\n\r\nline\r\n\r\n..dots\r\nlone\rcr\r\n";

export function requestFor(addresses: readonly string[], options: RequestOptions = {}): DeliveryRequest {
  const bytes = Buffer.from(options.message ?? MESSAGE);
  return {
    envelope: {
      queueId: "ABCDEF" as QueueId,
      sender: asAddress(options.sender ?? "two words@x.test"),
      arrivalMs: 0,
      smtputf8: false,
      body: "7BIT",
      origin: { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" },
      ...(options.dsn && { dsn: { envid: "e" } }),
      ...options.asks,
    },
    transport: "local",
    nexthop: options.nexthop ?? "here.test",
    recipients: addresses.map((text, i) => ({
      id: i + 1,
      address: asAddress(text),
      original: asAddress(options.original ?? text),
      dsn: options.dsn,
    })),
    content: {
      sizeBytes: bytes.length,
      *chunks() {
        for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
      },
    },
    activeMs: 0,
    probe: options.probe,
  };
}

/** An outcome in one line, with what else became of the recipient and who is forwarded to. */
export function told(outcome: RcptOutcome): readonly string[] {
  const line = ({ kind, dsn, text, address }: Pick<RcptOutcome, "kind" | "dsn" | "text" | "address">) =>
    `${kind} ${dsn} ${address === undefined ? "" : `<${address}> `}${text}`;
  const forwards = (outcome.forwards ?? []).map(
    ({ envelope, recipients }) =>
      `${envelope.queueId} from ${envelope.sender} to ${recipients.map(({ address }) => address).join(" ")}`,
  );
  return [line(outcome), ...(outcome.also ?? []).map(line), ...forwards];
}
