/** master/client-lists.ts: the lists of clients that one SMTP service treats otherwise: debug_peer_list, those that may say
 *  XCLIENT, those that are not counted … A list that cannot be asked warns and gives no answer; what follows from that is
 *  smtpd's to say, and never a right. */
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import type { ClientMatcher } from "../smtpd/client-matcher.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";

export interface ClientListInput {
  readonly params: Parameters;
  readonly tables: TableOpener;
  readonly files: SnapshotFiles;
  readonly log: Log;
}

type ListName =
  | "debug_peer_list"
  | "postern_authentication_trusted_clients"
  | "postern_submission_extension_clients"
  | "smtpd_authorized_xclient_hosts"
  | "smtpd_authorized_xforward_hosts"
  | "smtpd_client_event_limit_exceptions"
  | "smtpd_forbid_bare_newline_exclusions"
  | "smtpd_sasl_exceptions_networks";

/** Of SmtpdOptions; and isUncounted: whom smtpd_client_*_limit do not count. As in Postfix, hosts that speak for others
 *  are among them (XCLIENT). */
export type ClientLists = Readonly<
  Record<
    | "bareNewlineExclusions"
    | "xclientHosts"
    | "xforwardHosts"
    | "debugPeers"
    | "saslExceptions"
    | "authenticationTrusted"
    | "extensionClients"
    | "isUncounted",
    ClientMatcher
  >
>;

export function clientLists(input: ClientListInput): ClientLists {
  const xclientHosts = matcher(input, "smtpd_authorized_xclient_hosts");
  const exceptions = matcher(input, "smtpd_client_event_limit_exceptions");
  return {
    bareNewlineExclusions: matcher(input, "smtpd_forbid_bare_newline_exclusions"),
    xclientHosts,
    xforwardHosts: matcher(input, "smtpd_authorized_xforward_hosts"),
    debugPeers: matcher(input, "debug_peer_list"),
    extensionClients: matcher(input, "postern_submission_extension_clients"),
    saslExceptions: matcher(input, "smtpd_sasl_exceptions_networks"),
    authenticationTrusted: matcher(input, "postern_authentication_trusted_clients"),
    isUncounted: async (client) => (await xclientHosts(client)) === true || (await exceptions(client)) === true,
  };
}

function matcher({ params, tables, files, log }: ClientListInput, name: ListName): ClientMatcher {
  const items = params.get(name);
  if (items.length === 0) return () => false;
  const parentMatches = params.get("parent_domain_matches_subdomains").includes(name);
  const list = compileAddressList(items, { opener: tables, files, parentMatches });
  const failed = (error: unknown) => {
    if (!(error instanceof TableError)) throw error;
    log.warning(`${name}: ${error.message}`);
    return undefined;
  };
  return (client) => {
    try {
      const answer = list.matches(client.address, client.name);
      return answer instanceof Promise ? answer.catch(failed) : answer;
    } catch (error) {
      return failed(error);
    }
  };
}
