/** smtp/create.ts: makes the delivery agent of one client transport. */
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import type { TableOpener } from "../tables/table.ts";
import { SmtpAgent } from "./agent.ts";
import { type Protocol, settingsOf } from "./settings.ts";

export interface SmtpAgentOptions {
  /** The scope of the transport's line in master.cf. */
  readonly params: Parameters;
  readonly dns: Dns;
  readonly tables: TableOpener;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Log;
  /** IP addresses this machine receives mail on, to see mail loops. */
  readonly myAddresses: readonly string[];
  /** "smtp" if undefined. */
  readonly protocol?: Protocol | undefined;
}

/** The agent. Throws ParameterError for a bad parameter. */
export function createSmtpAgent(options: SmtpAgentOptions): DeliveryAgent {
  return new SmtpAgent({
    ...options,
    settings: settingsOf(options.params, options.protocol ?? "smtp"),
    myAddresses: new Set(options.myAddresses),
    random: Math.random,
  });
}
