/** admin/mailbox-state.ts: whether mail to an address would arrive, as far as this server's tables know. Where an alias leads
 *  is not followed. Nothing is sent. */
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, localPartOf, NULL_ADDRESS } from "../mail/address.ts";
import { createResolver } from "../rewrite/create.ts";
import { createRecipientTables, openAliases } from "../rewrite/recipients.ts";
import { splitExtension } from "../tables/keys.ts";
import { TableError, type TableOpener } from "../tables/table.ts";

/** "elsewhere": another server knows. "unknown": a table does not answer. */
export type MailboxState = "taken" | "refused" | "elsewhere" | "unknown";

export interface MailboxParts {
  readonly tables: TableOpener;
  /** Canonical or not, all that we listen on. */
  readonly ownAddresses: readonly string[];
  /** An account of this machine. */
  readonly hasAccount: (name: string) => boolean;
}

export type AskMailbox = (address: string) => Promise<MailboxState>;

/** Where the local agent hands on what it does not know itself. */
const LOCAL_ROUTES = ["mailbox_transport", "fallback_transport", "luser_relay"] as const;

/** Of the general scope. Throws ParameterError for values that `postern check` reports; the answer does not reject. */
export function createMailboxes(params: Parameters, parts: MailboxParts): AskMailbox {
  const resolver = createResolver(params, parts);
  const recipients = createRecipientTables(params, parts.tables);
  const isElsewhere = LOCAL_ROUTES.some((name) => params.get(name) !== "");
  const aliases = openAliases(params, parts.tables);

  /** The names of local domains that the local agent delivers to. */
  async function isKnownToLocal(address: Address): Promise<boolean> {
    const route = await resolver.route(address, NULL_ADDRESS);
    if (route.transport !== "local" || isElsewhere) return true;
    if (await recipients.isMapped({ address, addressClass: "local" }, "recipient")) return true;
    const whole = localPartOf(address).toLowerCase();
    for (const name of [whole, splitExtension(whole, params.get("recipient_delimiter"))?.base ?? whole]) {
      for (const table of aliases) if ((await table.get(name)) !== undefined) return true;
      if (parts.hasAccount(name)) return true;
    }
    return false;
  }

  async function ask(address: Address): Promise<MailboxState> {
    const why = await resolver.undeliverable?.(address, { who: "recipient", sender: NULL_ADDRESS });
    if (why?.kind === "unlisted" || why?.kind === "error") return "refused";
    const addressClass = await resolver.classOf(address);
    if (addressClass === "default") return "elsewhere";
    return addressClass !== "local" || (await isKnownToLocal(address)) ? "taken" : "refused";
  }

  return async (text) => {
    try {
      return await ask(asAddress(text));
    } catch (error) {
      if (error instanceof TableError) return "unknown";
      throw error;
    }
  };
}
