/** master/rehearse.ts: what a service would say to a client that is not there, for `postern explain`: the service is wired as a
 *  worker wires it, with the real tables; name service and policy servers are asked only if that is wanted. */
import type { RuleRef } from "../access/access.ts";
import { whereOf } from "../access/list-compiler.ts";
import { canonicalIp } from "../base/cidr.ts";
import { systemClock } from "../base/clock.ts";
import { parseInetService } from "../config/inet-name.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import { createDns } from "../dns/create.ts";
import type { Dns } from "../dns/resolver.ts";
import type { LogSink } from "../log/log.ts";
import type { ClientEndpoint, SaslIdentity, ServerEndpoint, TlsSession } from "../mail/client.ts";
import { ownAddresses } from "../net/interfaces.ts";
import { lookUpClient, unnamedClient } from "../smtpd/peer-name.ts";
import { type Act, rehearse } from "../smtpd/rehearsal.ts";
import { readSettings, type SmtpdSettings } from "../smtpd/settings.ts";
import { createTableOpener } from "../tables/open.ts";
import { rehearsalKit, silentDns, silentPolicyServers, silentProber } from "./rehearsal-kit.ts";
import { type WiredService, wireService } from "./service.ts";
import { SnapshotFiles } from "./snapshot-files.ts";
import { tableSettings } from "./table-settings.ts";

export const STAGES = ["client", "helo", "mail", "rcpt", "data", "end-of-data", "etrn", "vrfy"] as const;

export interface ImaginedSession {
  readonly service: ServiceEntry;
  readonly stage: (typeof STAGES)[number];
  /** Canonical address of the client. */
  readonly client: string;
  /** Verified name; undefined: DNS is asked. */
  readonly name: string | undefined;
  readonly reverseName: string | undefined;
  /** undefined: the client's name, else its address as a literal. */
  readonly helo: string | undefined;
  readonly tls: boolean;
  /** Certificate fingerprint. */
  readonly certificate: string | undefined;
  readonly login: SaslIdentity | undefined;
  /** As between the angle brackets; of VRFY and ETRN the argument is the first recipient. */
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly sizeBytes: number | undefined;
  readonly askDns: boolean;
  readonly askPolicy: boolean;
  /** The client as a server saw it, in place of client, name and reverseName. */
  readonly endpoint?: ClientEndpoint | undefined;
  /** No EHLO is said. */
  readonly ungreeted?: boolean | undefined;
}

export interface Rehearsed {
  readonly acts: readonly Act[];
  /** The rule behind a last answer that no restriction gave; undefined where there is none to name. */
  readonly protocolRule: RuleRef | undefined;
  /** What was assumed, or left out because no client can have it here. */
  readonly notes: readonly string[];
  /** What the server would have warned about in its log. */
  readonly warnings: readonly string[];
}

export interface Surroundings {
  readonly hostsText: string;
  /** The name service; undefined: the system's. */
  readonly dns?: Dns | undefined;
}

/** Services of master.cf that can be asked. */
export function explainable({ services }: ConfigSnapshot): readonly ServiceEntry[] {
  return services.filter(({ type, command }) => type === "inet" && (command === "smtpd" || command === "postscreen"));
}

/** Throws ParameterError for a configuration that no server would start with. */
export async function rehearseSession(
  snapshot: ConfigSnapshot,
  imagined: ImaginedSession,
  surroundings: Surroundings,
): Promise<Rehearsed> {
  const rehearsal = openRehearsal(snapshot, imagined, surroundings);
  try {
    return await rehearsal.play(imagined);
  } finally {
    await rehearsal.close();
  }
}

/** A service that is wired once, for any number of sessions. */
export interface Rehearsal {
  /** One after the other. `imagined` is of the same service, and asks the same servers. */
  play(imagined: ImaginedSession): Promise<Rehearsed>;
  close(): Promise<void>;
}

/** Throws ParameterError for a configuration that no server would start with. */
export function openRehearsal(
  snapshot: ConfigSnapshot,
  { service, askDns, askPolicy }: Pick<ImaginedSession, "service" | "askDns" | "askPolicy">,
  { hostsText, dns }: Surroundings,
): Rehearsal {
  const warnings = new Set<string>();
  // What is wrong with the configuration itself is for `postern check` to say.
  let playing = false;
  const sink: LogSink = ({ severity, text }) => void (playing && severity !== "info" && warnings.add(text));
  const names = askDns ? (dns ?? createDns({ clock: systemClock, hostsText })) : silentDns();
  const kit = rehearsalKit(names, sink);
  const files = new SnapshotFiles(snapshot.files);
  const tables = createTableOpener({
    files,
    log: kit.logFor("explain"),
    clock: kit.clock,
    ...tableSettings(snapshot),
  });
  const policyServers = askPolicy ? undefined : silentPolicyServers(scopeOf(snapshot, service));
  const input = { snapshot, service, tables, files, kit, policyServers, prober: silentProber };
  const wired = wireService(input, () => ({
    begin: () => {
      throw new Error("A rehearsal has a cleanup of its own");
    },
  }));
  playing = true;
  return {
    async play(imagined) {
      warnings.clear();
      return { ...(await play(imagined, { snapshot, wired, names })), warnings: [...warnings] };
    },
    async close() {
      await wired.close();
      await tables.close?.();
      await kit.hashes.close();
      names.close();
    },
  };
}

interface Scene {
  readonly snapshot: ConfigSnapshot;
  readonly wired: WiredService;
  readonly names: Dns;
}

async function play(imagined: ImaginedSession, scene: Scene): Promise<Omit<Rehearsed, "warnings">> {
  const { options } = scene.wired;
  const settings = readSettings(options.params);
  const notes: string[] = [];
  const client = await clientOf(imagined, scene, settings);
  const tls = tlsOf(imagined, settings, options.params, notes);
  const helo = imagined.helo ?? (client.name === "unknown" ? literalOf(client.address) : client.name);
  if (options.params.get("smtpd_delay_reject") && ["client", "helo", "mail"].includes(imagined.stage)) {
    notes.push("client, helo and sender restrictions run at RCPT (smtpd_delay_reject = yes)");
  }
  const acts = await rehearse(
    { ...options, flushSite: async () => "started" },
    {
      client,
      server: serverOf(imagined, scene.snapshot),
      tls,
      login: loginOf(imagined, { settings, tls, offered: options.sasl !== undefined, notes }),
      lines: linesOf(imagined, helo).slice(imagined.ungreeted ? 1 : 0),
      content: imagined.stage === "end-of-data",
      sizeBytes: imagined.sizeBytes ?? 0,
    },
  );
  return { acts, notes, protocolRule: protocolRule(acts.at(-1), options.params) };
}

function linesOf({ stage, sender, recipients, sizeBytes }: ImaginedSession, helo: string): readonly string[] {
  const [first = ""] = recipients;
  const size = sizeBytes === undefined ? "" : ` SIZE=${sizeBytes}`;
  const utf8 = /[^\x00-\x7f]/.test([sender, ...recipients].join("")) ? " SMTPUTF8" : "";
  const greeting = `EHLO ${helo}`;
  const mail = [greeting, `MAIL FROM:<${sender}>${size}${utf8}`];
  const rcpt = [...mail, ...recipients.map((recipient) => `RCPT TO:<${recipient}>`)];
  switch (stage) {
    case "client":
      return [];
    case "helo":
      return [greeting];
    case "etrn":
      return [greeting, `ETRN ${first}`];
    case "vrfy":
      return [greeting, `VRFY ${first}${utf8}`];
    case "mail":
      return mail;
    case "rcpt":
      return rcpt;
    case "data":
    case "end-of-data":
      return [...rcpt, "DATA"];
  }
}

async function clientOf(imagined: ImaginedSession, { names }: Scene, settings: SmtpdSettings): Promise<ClientEndpoint> {
  const { client: address, name, reverseName, askDns } = imagined;
  if (imagined.endpoint) return imagined.endpoint;
  const peer = { address, port: 0 };
  if (name !== undefined) return { ...peer, name, reverseName: reverseName ?? name, nameStatus: "verified" };
  if (reverseName !== undefined) return { ...peer, name: "unknown", reverseName, nameStatus: "mismatch" };
  return settings.peernameLookup && askDns ? (await lookUpClient(peer, names)).client : unnamedClient(peer);
}

/** A connection from one of our own addresses comes to that address. */
function serverOf({ client, service }: ImaginedSession, snapshot: ConfigSnapshot): ServerEndpoint {
  const parsed = parseInetService(service.name, servicesText(snapshot));
  const port = parsed?.port ?? 0;
  const own = ownAddresses().map((address) => canonicalIp(address) ?? address);
  if (own.includes(client)) return { address: client, port };
  const bound = parsed?.host === undefined ? undefined : canonicalIp(parsed.host);
  const outward = own.find(
    (address) => address.includes(":") === client.includes(":") && !/^(?:127\.|::1$|fe80)/.test(address),
  );
  return { address: bound ?? outward ?? "127.0.0.1", port };
}

function tlsOf(
  { tls, certificate }: ImaginedSession,
  settings: SmtpdSettings,
  params: Parameters,
  notes: string[],
): TlsSession | undefined {
  if (!tls && certificate === undefined) {
    if (!settings.tlsWrapper) return undefined;
    notes.push("the service speaks TLS from the first byte (smtpd_tls_wrappermode): TLS is assumed");
  } else if (settings.tlsLevel === "none") {
    notes.push("the service offers no TLS (smtpd_tls_security_level): the session is in clear text");
    return undefined;
  }
  const session = { protocol: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", bits: 256, reused: false };
  if (certificate === undefined) return session;
  if (!params.get("smtpd_tls_ask_ccert") && !params.get("smtpd_tls_req_ccert")) {
    notes.push("the service asks for no certificate (smtpd_tls_ask_ccert): it is left out");
    return session;
  }
  const peer = { subject: "", issuer: "", certFingerprint: certificate, publicKeyFingerprint: "", trusted: false };
  return { ...session, peerAsked: true, peer };
}

interface LoginScene {
  readonly settings: SmtpdSettings;
  readonly tls: TlsSession | undefined;
  readonly offered: boolean;
  readonly notes: string[];
}

function loginOf({ login }: ImaginedSession, { settings, tls, offered, notes }: LoginScene): SaslIdentity | undefined {
  if (login === undefined) return undefined;
  if (!offered) {
    notes.push("nobody can log in at this service (smtpd_sasl_auth_enable): the login is left out");
    return undefined;
  }
  if (settings.tlsAuthOnly && tls === undefined) {
    notes.push("nobody can log in here without TLS (smtpd_tls_auth_only): the login is left out; see --tls");
    return undefined;
  }
  return login;
}

function literalOf(address: string): string {
  return address.includes(":") ? `[IPv6:${address}]` : `[${address}]`;
}

/** Answers that the server gives by itself, and the parameter behind each. */
const PROTOCOL_RULES: readonly (readonly [pattern: RegExp, parameter: ParameterName])[] = [
  [/ Must issue a STARTTLS command first/, "smtpd_tls_security_level"],
  [/^.52 5\.3\.4|^.52 4\.3\.4/, "message_size_limit"],
  [/ send HELO\/EHLO first/, "smtpd_helo_required"],
  [/ VRFY command is disabled/, "disable_vrfy_command"],
  [/ too many recipients/, "smtpd_recipient_limit"],
  [/ Must declare SMTPUTF8/, "strict_smtputf8"],
];

function protocolRule(act: Act | undefined, params: Parameters): RuleRef | undefined {
  const [text = ""] = act?.reply ?? [];
  if (!/^[45]/.test(text) || act?.explanation !== undefined) return undefined;
  const parameter = PROTOCOL_RULES.find(([pattern]) => pattern.test(text))?.[1];
  if (parameter === undefined) return undefined;
  return { text: `${parameter} = ${params.text(parameter)}`, at: whereOf(params.source(parameter)), parameter };
}
