/** cleanup/deps.ts: what cleanup needs of the rooms around it. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Signer } from "../dkim/create.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { Milters } from "../milter/milters.ts";
import type { ClaimedMessage, QueueStore } from "../queue/store.ts";
import type { LoginOwners } from "../rewrite/login-owners.ts";
import type { AddressMappings } from "../rewrite/mappings.ts";
import type { Authors } from "./authors.ts";
import type { RouteLane } from "./cleanup.ts";
import type { CheckMaps, ContentChecks } from "./content-checks.ts";

export interface CleanupDeps {
  readonly params: Parameters;
  readonly store: Pick<QueueStore, "beginBody" | "append" | "readBody">;
  readonly log: Log;
  /** undefined: addresses are queued as they come (no_address_mappings). */
  readonly mapping?: {
    readonly mappings: AddressMappings;
    /** Canonical form in local context. */
    readonly rewrite: (address: Address) => Address;
    /** What an address that names its way through one of our domains (`a%b@ours`) leads to; undefined: it is none.
     *  May throw or reject MappingError. */
    readonly peel?: ((address: Address) => Awaitable<Address> | undefined) | undefined;
  };
  /** undefined: none, and content streams past unread. */
  readonly checks?: ContentChecks | undefined;
  /** Looks whose the From of mail is; undefined: nobody does. */
  readonly authors?: Authors | undefined;
  /** smtpd_sender_login_maps, for the mailbox of a login that is no address; undefined: nobody has logged in here. */
  readonly owners?: LoginOwners | undefined;
  /** milter_header_checks; undefined: none. */
  readonly milterChecks?: CheckMaps | undefined;
  /** non_smtpd_milters, of mail that comes another way than by SMTP; undefined: there are none. */
  readonly otherMilters?: Milters | undefined;
  /** undefined: nothing is signed. */
  readonly signer?: Signer | undefined;
  readonly laneOf: RouteLane;
  /** Hands a committed, claimed message to the scheduler. */
  readonly arrived: (message: ClaimedMessage) => void;
  /** The message is committed but not claimed: the scheduler shall look for due lanes. */
  readonly poke: () => void;
  /** The message is committed, and due only then: it is held at its sender's wish. */
  readonly dueAt: (dueMs: number) => void;
}
