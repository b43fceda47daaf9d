/** local/local-delivery.ts: what the local agent needs, and what the deliveries of one request share. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Address } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { LookupTable } from "../tables/table.ts";
import { readDestinationFile } from "./destination-file.ts";
import type { ExpansionOptions } from "./expansion.ts";
import { readHeader } from "./header-block.ts";
import type { PasswdEntry } from "./passwd.ts";
import type { PipeDoor } from "./pipe.ts";

export interface LocalAgentOptions {
  readonly params: Parameters;
  readonly clock: Clock;
  /** A name for a file in a maildir that no other has. */
  readonly nextFileName: () => string;
  /** Text of /etc/passwd, read anew when it may have changed; "" where nobody has a home. */
  passwd(): string;
  readonly resolver: Pick<AddressResolver, "rewrite" | "route" | "unlistedIn">;
  readonly tables: LocalTables;
  readonly nextQueueId: () => QueueId;
  /** Canonical and virtual aliases of an address that another transport delivers. Rejects MappingError. */
  readonly mapRecipient: (address: Address) => Promise<readonly Address[]>;
  /** The agent of another transport; undefined: there is none. */
  readonly agentOf: (transport: string) => DeliveryAgent | undefined;
  /** For commands of aliases. */
  readonly pipes: PipeDoor;
  /** Takes warnings for the log. */
  readonly warn: (text: string) => void;
}

export interface LocalTables {
  /** alias_maps. */
  readonly aliases: readonly LookupTable[];
  /** mailbox_transport_maps. */
  readonly mailboxTransports: readonly LookupTable[];
  /** fallback_transport_maps. */
  readonly fallbackTransports: readonly LookupTable[];
}

/** Postfix's default would allow commands; here somebody must have said so. */
export function mayRunCommands(params: Parameters): boolean {
  const said = params.source("allow_mail_to_commands") !== undefined;
  return said && params.get("allow_mail_to_commands").includes("alias");
}

/** One request and all that its deliveries share. */
export interface LocalDelivery {
  readonly options: LocalAgentOptions;
  readonly request: DeliveryRequest;
  readonly signal: AbortSignal;
  /** The header block; read once. */
  header(): Promise<string>;
  userNamed(name: string): PasswdEntry | undefined;
  nextFileName(): string;
  /** How addresses are followed in this request. */
  readonly expansion: ExpansionOptions;
  /** A log line about this message. */
  warn(text: string): void;
}

export function beginDelivery(
  request: DeliveryRequest,
  signal: AbortSignal,
  parts: Pick<LocalDelivery, "options" | "nextFileName" | "userNamed">,
): LocalDelivery {
  const { params, warn, resolver, tables } = parts.options;
  let header: Promise<string> | undefined;
  const expansion = {
    aliases: tables.aliases,
    delimiter: params.text("recipient_delimiter"),
    propagate: new Set<string>(params.get("propagate_unmatched_extensions")),
    expandOwner: params.get("expand_owner_alias"),
    ownerSpecial: params.get("owner_request_special"),
    resetOwner: params.get("reset_owner_alias"),
    duplicateLimit: params.get("duplicate_filter_limit") || Number.POSITIVE_INFINITY,
    resolver,
    transport: request.transport,
    sender: request.envelope.sender,
    readFile: readDestinationFile,
    commands: mayRunCommands(params),
  };
  return {
    ...{ ...parts, request, signal, expansion },
    header: () => {
      header ??= readHeader(request.content);
      return header;
    },
    warn: (text) => warn(`${request.envelope.queueId}: ${text}`),
  };
}
