/** qmgr/lane-finder.ts: which lane a recipient waits in: where double bounces end, where a content filter is, where the
 *  resolver says. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { TableError } from "../tables/table.ts";
import { formatLaneKey, parseLaneKey, RETRY_LANE } from "./lane-map.ts";

/** Next hop of the discard transport: its log text. */
const DOUBLE_BOUNCE = "undeliverable postmaster notification discarded";

export interface LaneFinderParts {
  readonly resolver: AddressResolver;
  readonly params: Parameters;
  readonly log: Log;
}

export class LaneFinder {
  readonly #parts: LaneFinderParts;

  constructor(parts: LaneFinderParts) {
    this.#parts = parts;
  }

  /** The key; RETRY_LANE, and a log line, where a table does not answer. Rejects for bugs only. */
  laneOf(recipient: Address, sender: Address, filter: string | undefined): Awaitable<string> {
    if (filter !== undefined) return this.#filterLane(filter, recipient);
    try {
      const lane = this.#routedLane(recipient, sender);
      return lane instanceof Promise ? lane.catch((cause: unknown) => this.#unresolved(cause)) : lane;
    } catch (cause) {
      return this.#unresolved(cause);
    }
  }

  /** The same for mail that the queue has, or will have: a bug on the way must not leave it claimed, and unseen, until the next
   *  start. Never rejects. */
  async laneOfQueued(recipient: Address, sender: Address, filter?: string): Promise<string> {
    try {
      return await this.laneOf(recipient, sender, filter);
    } catch (cause) {
      this.#parts.log.error(`cannot resolve a recipient: ${printableUtf8(String(cause))}`);
      return RETRY_LANE;
    }
  }

  #routedLane(recipient: Address, sender: Address): Awaitable<string> {
    const { resolver } = this.#parts;
    const byRoute = () =>
      whenKnown(resolver.route(recipient, sender), ({ transport, nexthop }) => formatLaneKey(transport, nexthop));
    if (!this.#looksLikeDoubleBounce(recipient)) return byRoute();
    return whenKnown(resolver.classOf(recipient), (addressClass) =>
      addressClass === "local" ? formatLaneKey("discard", DOUBLE_BOUNCE) : byRoute(),
    );
  }

  #unresolved(cause: unknown): string {
    if (!(cause instanceof TableError)) throw cause;
    this.#parts.log.warning(`cannot resolve a recipient: ${printableUtf8(cause.message)}`);
    return RETRY_LANE;
  }

  /** Whether it may be the sender of notices to the postmaster, where bounces come to an end (qmgr_message.c). */
  #looksLikeDoubleBounce(recipient: Address): boolean {
    const name = this.#parts.params.get("double_bounce_sender");
    return localPartOf(recipient).toLowerCase() === name.toLowerCase();
  }

  /** The lane of a content filter, where routes do not count. It gets the recipients as they are. */
  #filterLane(filter: string, recipient: Address): string {
    const { transport, nexthop } = parseLaneKey(filter);
    const fallback = this.#parts.params.get("default_filter_nexthop") || (domainOf(recipient) ?? "");
    return formatLaneKey(transport.trim(), nexthop.trim() || fallback);
  }
}
