/** access/restrictions/permit-tls-clientcerts.ts: `permit_tls_clientcerts`, for clients whose certificate or public key
 *  fingerprint is in $relay_clientcerts, whoever issued it; `permit_tls_all_clientcerts`, also for every client whose
 *  certificate a trusted CA has signed. Both need smtpd_tls_ask_ccert. */
import type { TlsPeer } from "../../mail/client.ts";
import { type LookupTable, TableError } from "../../tables/table.ts";
import { warnUnlessCcertAsked } from "../ccert.ts";
import { type Context, DUNNO, PERMIT, type Word } from "../restriction.ts";

export const permitTlsClientcerts = word("permit_tls_clientcerts", () => false);

export const permitTlsAllClientcerts = word("permit_tls_all_clientcerts", ({ trusted }) => trusted);

function word(name: string, suffices: (peer: TlsPeer) => boolean): Word {
  return {
    names: [name],
    argument: "none",
    build(services) {
      const tables = services.params.get("relay_clientcerts").map((ref) => services.tables.open(ref));
      return async (context) => {
        const { tls } = context.facts;
        if (tls === undefined) return DUNNO;
        if (tls.peer === undefined) {
          warnUnlessCcertAsked(name, services, context);
          return DUNNO;
        }
        if (suffices(tls.peer)) {
          context.trace?.remark(`client certificate "${tls.peer.subject}" is trusted`);
          return PERMIT;
        }
        return (await isListed(tls.peer, { tables, context })) ? PERMIT : DUNNO;
      };
    },
  };
}

interface Search {
  readonly tables: readonly LookupTable[];
  readonly context: Context;
}

/** Rejects TableError: 451. */
async function isListed(peer: TlsPeer, { tables, context }: Search): Promise<boolean> {
  const prints = [peer.certFingerprint, peer.publicKeyFingerprint];
  try {
    for (const print of prints) {
      for (const table of tables) {
        const found = print === "" ? undefined : await table.get(print);
        context.trace?.lookup(table.ref, print, found);
        if (found !== undefined) return true;
      }
    }
    return false;
  } catch (error) {
    if (error instanceof TableError) {
      const [cert, key] = prints;
      context.log.warning(`relay_clientcerts: lookup error for fingerprint '${cert}', pkey fingerprint ${key}`);
    }
    throw error;
  }
}
