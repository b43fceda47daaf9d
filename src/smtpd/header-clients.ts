/** smtpd/header-clients.ts: whose message headers are completed in local context (local_header_rewrite_clients). */
import type { ClientEndpoint, SaslIdentity, ServerEndpoint, TlsSession } from "../mail/client.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import type { LookupTable } from "../tables/table.ts";

/** What is known of a session. */
export interface HeaderClient {
  readonly client: ClientEndpoint;
  readonly server: ServerEndpoint;
  readonly user: SaslIdentity | undefined;
  readonly tls: TlsSession | undefined;
}

/** Rejects TableError. */
export type HeaderClients = (session: HeaderClient) => Promise<boolean>;

export interface HeaderClientDeps {
  readonly open: (ref: string) => LookupTable;
  readonly mynetworks: AddressList;
  /** relay_clientcerts. */
  readonly certificates: readonly LookupTable[];
}

/** The items of the list in order; one that says yes is enough. Words that are none were refused with the configuration. */
export function compileHeaderClients(items: readonly string[], deps: HeaderClientDeps): HeaderClients {
  const tests = items
    .filter((item) => item.toLowerCase() !== "check_address_map")
    .map((item): HeaderClients => testOf(item, deps));
  return async (session) => {
    for (const matches of tests) if (await matches(session)) return true;
    return false;
  };
}

function testOf(item: string, { open, mynetworks, certificates }: HeaderClientDeps): HeaderClients {
  switch (item.toLowerCase()) {
    case "permit_inet_interfaces":
      return async ({ client, server }) => client.address === server.address;
    case "permit_mynetworks":
      return async ({ client }) => mynetworks.matches(client.address, client.name);
    case "permit_sasl_authenticated":
      return async ({ user }) => user !== undefined;
    case "permit_tls_clientcerts":
      return async ({ tls }) => isListed(tls, certificates);
    case "permit_tls_all_clientcerts":
      return async ({ tls }) => tls?.peer?.trusted === true || isListed(tls, certificates);
    default:
      return addressTest(item, open);
  }
}

/** `type:table`: the address is a key, whatever it leads to. */
function addressTest(item: string, open: HeaderClientDeps["open"]): HeaderClients {
  const table = open(item);
  return async ({ client }) => (await table.get(client.address)) !== undefined;
}

async function isListed(tls: TlsSession | undefined, tables: readonly LookupTable[]): Promise<boolean> {
  for (const print of [tls?.peer?.certFingerprint, tls?.peer?.publicKeyFingerprint]) {
    if (!print) continue;
    for (const table of tables) if ((await table.get(print)) !== undefined) return true;
  }
  return false;
}
