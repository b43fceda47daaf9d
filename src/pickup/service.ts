/** pickup/service.ts: what the pickup service needs of one configuration; the composition root gives it. */
import type { Cleanup } from "../cleanup/cleanup.ts";
import type { CleanupDeps } from "../cleanup/deps.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { UserList } from "./user-list.ts";

export interface PickupService {
  /** The scope of the pickup service of master.cf, or of main.cf where there is none. */
  readonly params: Parameters;
  readonly log: Log;
  /** Canonical form in local context. */
  readonly rewrite: (address: Address) => Address;
  /** authorized_submit_users. */
  readonly submitters: UserList;
  /** Committed messages go to `arrived`, not to the scheduler. */
  readonly cleanup: (arrived: CleanupDeps["arrived"]) => Cleanup;
}
