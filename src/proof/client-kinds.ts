/** proof/client-kinds.ts: the five kinds of client as they come to one service: from where, with TLS or without, with which
 *  certificate; and whether there are any. */
import type { Parameters } from "../config/parameters.ts";
import type { TlsPeer } from "../mail/client.ts";
import { type Choices, peerWith } from "./choices.ts";
import { firstMember, isWide, networkIn } from "./networks.ts";
import type { World } from "./question.ts";
import type { ClientClass, Host } from "./scenario.ts";

/** A CA file or directory with more certificates than this is a collection of public CAs, who sign for anybody. */
const MANY_CAS = 20;
/** Networks of mynetworks from which one client each is tried. */
const MAX_NETWORKS = 20;

export interface ClientKind {
  readonly client: ClientClass;
  readonly exists: boolean;
  readonly tls: boolean;
  readonly hosts: readonly Host[];
  readonly peers: readonly (TlsPeer | undefined)[];
  /** Why there is none, or why he cannot even begin; "" where neither. */
  readonly note: string;
}

type TlsMode = "none" | "may" | "encrypt";

/** What the service offers. Wrapper mode is TLS from the first byte. */
function tlsMode(params: Parameters): TlsMode {
  if (params.get("smtpd_tls_wrappermode")) return "encrypt";
  const level = params.text("smtpd_tls_security_level").toLowerCase();
  if (level === "none" || level === "may" || level === "encrypt") return level;
  if (params.get("smtpd_enforce_tls")) return "encrypt";
  return params.get("smtpd_use_tls") ? "may" : "none";
}

export function clientKinds(world: World, choices: Choices, caCertificates: number): readonly ClientKind[] {
  const { params } = world.services;
  const mode = tlsMode(params);
  const tls = mode !== "none";
  const asks = tls && (params.get("smtpd_tls_ask_ccert") || params.get("smtpd_tls_req_ccert"));
  const needsCert = asks && mode === "encrypt" && params.get("smtpd_tls_req_ccert");
  const strangers = strangerPeers({ asks, needsCert, anybodysCa: asks && isPublicCa(params, caCertificates) });
  const known = choices.fingerprints.slice(0, 1).map((print) => peerWith(print, { trusted: true }));
  const friends = known.length > 0 ? known : [peerWith("", { trusted: true })];
  const members = membersOf(world);
  const hosts = choices.hosts;
  const common = { tls, hosts: hosts.slice(0, 1), peers: needsCert ? friends : [undefined] };
  const clear = mode === "encrypt" ? "TLS is required" : "";
  const noTls = !tls ? "no TLS here" : strangers.length === 0 ? "a certificate is required" : "";
  const logins = params.get("smtpd_sasl_auth_enable");
  const kind = (client: ClientClass, exists: boolean, rest: Partial<ClientKind>): ClientKind => ({
    ...common,
    client,
    exists,
    note: "",
    ...rest,
  });
  return [
    kind("stranger", true, { tls: false, hosts, peers: [undefined], note: clear }),
    kind("strangerTls", tls, { hosts, peers: strangers, note: noTls }),
    kind("certificate", asks, { peers: friends, note: asks ? "" : "no certificates are asked for" }),
    kind("login", logins, { note: logins ? "" : "no logins here" }),
    kind("mynetworks", members.length > 0, {
      hosts: members,
      note: members.length > 0 ? "" : "mynetworks is empty",
    }),
  ];
}

/** What strangers can show: nothing, a certificate of their own making, or one that some public CA has signed. */
function strangerPeers(where: {
  readonly asks: boolean;
  readonly needsCert: boolean;
  readonly anybodysCa: boolean;
}): readonly (TlsPeer | undefined)[] {
  const own = where.asks ? [peerWith("", { trusted: false })] : [];
  return [
    ...(where.needsCert ? [] : [undefined, ...own]),
    ...(where.anybodysCa ? [peerWith("", { trusted: true })] : []),
  ];
}

/** Some CA that signs for anybody is trusted. */
function isPublicCa(params: Parameters, caCertificates: number): boolean {
  if (caCertificates > MANY_CAS) return true;
  const hasOwn = params.text("smtpd_tls_CAfile") !== "" || params.text("smtpd_tls_CApath") !== "";
  return hasOwn && params.get("tls_append_default_CA");
}

/** One client of each network that is trusted on purpose; of the wide ones if there are no others. */
function membersOf({ mynetworks }: World): readonly Host[] {
  const listed = mynetworks.patterns
    .filter(({ verdict }) => verdict)
    .map(({ pattern }) => networkIn(pattern))
    .filter((network) => network !== undefined);
  const narrow = listed.filter((network) => !isWide(network));
  return (narrow.length > 0 ? narrow : listed)
    .slice(0, MAX_NETWORKS)
    .map((network) => ({ address: firstMember(network), name: "unknown", reverseName: "unknown" }));
}
