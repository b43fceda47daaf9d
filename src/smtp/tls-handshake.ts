/** smtp/tls-handshake.ts: STARTTLS and TLS from the first byte, as the policy of the target demands (RFC 3207), and what
 *  follows from the server's certificate, in Postfix's words. */

import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { EstablishedTls } from "../net/client-tls.ts";
import {
  anchorsInChain,
  type CertificateDemand,
  type Judgement,
  judgeServer,
  matchesName,
  ownFingerprints,
} from "../net/server-certificate.ts";
import { fromReply, ownVerdict, softened, unfitVerdict, type Verdict } from "./outcome.ts";
import { replyClass } from "./reply.ts";
import type { Session, TlsResult } from "./session.ts";
import type { Settings } from "./settings.ts";
import type { TlsDemand } from "./tls-demand.ts";
import type { TlsEngine } from "./tls-engine.ts";
import { ascii, nexthopDomain } from "./tls-policy.ts";
import type { PreparedTls } from "./tls-prepare.ts";

export interface TlsParts {
  readonly settings: Settings;
  readonly engine: TlsEngine;
  /** Of the message. */
  readonly demand?: TlsDemand | undefined;
  readonly log: Log;
}

export const TLS_PHASE = "performing the TLS handshake";

/** STARTTLS as the policy demands. "started": EHLO must be said again. Rejects ConnectionError. */
export async function startTlsIfWanted(
  session: Session,
  tls: PreparedTls | undefined,
  parts: TlsParts,
): Promise<Verdict | "started" | undefined> {
  const { settings, log } = parts;
  const offered = session.features.has("STARTTLS");
  if (session.tls) return undefined;
  if (tls === undefined) {
    if (offered && settings.tls.noteOffer) log.info(`Host offered STARTTLS: [${session.target.host}]`);
    return undefined;
  }
  const required = tls.policy.level !== "may";
  if (!offered) {
    session.tlsResult = { type: "starttls-not-supported", reason: "" };
    if (!required) return undefined;
    const text = `TLS is required, but was not offered by host ${session.host}`;
    return parts.demand === "required" ? unfitVerdict("5.7.10", text) : ownVerdict("4.7.4", text);
  }
  const reply = await session.command("STARTTLS", "receiving the STARTTLS response", settings.timeouts.startTlsMs);
  if (replyClass(reply) !== 2) {
    session.tlsResult = { type: "starttls-not-supported", reason: "" };
    if (!required) return undefined;
    const text = `TLS is required, but host ${session.host} refused to start TLS: ${reply.text}`;
    return softened(fromReply(reply, text));
  }
  return (await startTls(session, tls, parts)) ?? "started";
}

/** The handshake itself, and the verdict on its result where the policy is not met. Rejects ConnectionError. */
export async function startTls(session: Session, tls: PreparedTls, parts: TlsParts): Promise<Verdict | undefined> {
  const { settings, engine } = parts;
  session.phase = TLS_PHASE;
  session.features = new Map();
  const serverName = serverNameOf(tls, session);
  const demand = demandOf(tls, session, settings);
  const key = settings.tls.sessionCacheMs === undefined ? "" : sessionKey(session, { tls, serverName, demand });
  const before = key === "" ? undefined : engine.session(key);
  const keeper = new SessionKeeper();
  const established = await session.connection.startTls({
    secureContext: tls.context.secureContext,
    serverName,
    session: before?.session,
    ...(key !== "" && { onSession: (issued: Buffer) => keeper.issued(issued) }),
    timeoutMs: settings.timeouts.startTlsMs,
  });
  session.tls = established.session;
  const resumed = established.session.reused ? before : undefined;
  const { authorities } = tls.context;
  const rules = { demand, authorities, verifyDepth: settings.tls.trust.verifyDepth };
  const judgement = resumed?.judgement ?? judgeServer(established, rules);
  const word = tls.dane?.half && judgement.word === "Verified" ? "Trusted" : judgement.word;
  report(session, { established, judgement: { ...judgement, word }, demand }, parts);
  session.tlsResult = resultOf(judgement, demand);
  session.verified = judgement.word === "Verified";
  if (resumed && settings.tls.report?.skipResumed) session.tlsResult = "skipped";
  const kept = demand.kind === "none" || tls.policy.sts?.enforced === false || judgement.word === "Verified";
  if (!kept) {
    const certificate = tls.dane && established.certificate();
    if (tls.dane && certificate) engine.learnAnchors(tls.dane.records, anchorsInChain(certificate, tls.dane.records));
    const text = "Server certificate not verified";
    return parts.demand === "required" ? unfitVerdict("5.7.5", text) : ownVerdict("4.7.5", text);
  }
  keeper.keepBy((issued) => engine.keep(key, issued, { judgement, before: resumed }));
  return undefined;
}

/** In the words of RFC 8460 §4.3. */
function resultOf({ word, why = "" }: Judgement, demand: CertificateDemand): TlsResult {
  if (demand.kind === "none" || word === "Verified") return "success";
  const reason = printableUtf8(why);
  if (why === "certificate has expired") return { type: "certificate-expired", reason };
  if (why.endsWith("mismatch")) return { type: "certificate-host-mismatch", reason };
  return { type: demand.kind === "tlsa" ? "validation-failure" : "certificate-not-trusted", reason };
}

/** Sessions arrive before and after the judgement. */
class SessionKeeper {
  #last: Buffer | undefined;
  #keep: ((session: Buffer) => void) | undefined;

  issued(session: Buffer): void {
    if (this.#keep) this.#keep(session);
    else this.#last = session;
  }

  keepBy(keep: (session: Buffer) => void): void {
    this.#keep = keep;
    if (this.#last) keep(this.#last);
    this.#last = undefined;
  }
}

/** Everything that led to the judgement, so that no session is resumed under other demands. */
function sessionKey(
  { target }: Session,
  { tls, serverName, demand }: { tls: PreparedTls; serverName: string; demand: CertificateDemand },
): string {
  const wanted = demand.kind === "fingerprints" ? [...demand.values] : demand;
  return JSON.stringify([
    target.host,
    target.address,
    target.port,
    serverName,
    tls.context.key,
    tls.policy.level,
    wanted,
  ]);
}

function serverNameOf({ policy: { serverName }, dane }: PreparedTls, { target }: Session): string {
  if (dane) return dane.names[0];
  if (serverName.toLowerCase() === "hostname") return ascii(target.host);
  if (serverName.toLowerCase() === "nexthop") return nexthopDomain(target);
  return serverName;
}

function demandOf({ policy, dane }: PreparedTls, { target }: Session, { tls }: Settings): CertificateDemand {
  // Without records nothing matches.
  if (policy.otherwise) return { kind: "tlsa", records: dane?.records ?? [], names: dane?.names ?? [] };
  if (policy.sts) return { kind: "names", names: [ascii(target.host)], multiLabel: false };
  const { multiLabel, digest } = tls.match;
  switch (policy.level) {
    case "fingerprint":
      return { kind: "fingerprints", digest, values: new Set(policy.match.map(spelt)) };
    case "verify":
    case "secure":
      return { kind: "names", names: policy.match.map((name) => certificateName(name, target)), multiLabel };
    default:
      return { kind: "none" };
  }
}

/** A word of match= as a name: `.name` is any below it. */
function certificateName(word: string, target: Session["target"]): string {
  switch (word.toLowerCase()) {
    case "hostname":
      return ascii(target.host);
    case "nexthop":
      return nexthopDomain(target);
    case "dot-nexthop":
      return `.${nexthopDomain(target)}`;
    default:
      return ascii(word);
  }
}

/** A fingerprint as net/ writes them. */
function spelt(text: string): string {
  return text.replaceAll(":", "").toUpperCase().match(/..?/g)?.join(":") ?? "";
}

interface Handshake {
  readonly established: EstablishedTls;
  readonly judgement: Judgement;
  readonly demand: CertificateDemand;
}

/** Postfix's lines: what is wrong with the certificate where that matters, and the summary. */
function report({ relay }: Session, handshake: Handshake, { settings, log }: TlsParts): void {
  const { established, judgement, demand } = handshake;
  const { logLevel } = settings.tls;
  const { session } = established;
  if (judgement.why !== undefined && !session.reused && (demand.kind !== "none" || logLevel >= 2)) {
    const prefix = /^num=|^certificate /.test(judgement.why) ? "server " : "";
    log.info(`${prefix}certificate verification failed for ${relay}: ${printableUtf8(judgement.why)}`);
  }
  if (logLevel < 1) return;
  if (logLevel >= 2 && !session.reused) describeCertificate(relay, handshake, { settings, log });
  const how = session.reused ? "reused" : "established";
  const exchange = session.protocol === "TLSv1.3" && !session.reused ? keyExchange(established) : "";
  const { protocol, cipher, bits } = session;
  log.info(
    `${judgement.word} TLS connection ${how} to ${relay}: ${protocol} with cipher ${cipher} (${bits}/${bits} bits)${exchange}`,
  );
}

function describeCertificate(
  relay: string,
  { established, demand }: Handshake,
  { settings, log }: Omit<TlsParts, "engine">,
): void {
  const certificate = established.certificate();
  if (certificate === undefined) return;
  if (demand.kind === "names") {
    const name = demand.names.find((each) => matchesName(certificate, each, demand.multiLabel));
    if (name !== undefined) log.info(`${relay}: matched peername: ${certificate.checkHost(name) ?? name}`);
  }
  const [own = "", key = ""] = ownFingerprints(certificate, settings.tls.match.digest);
  const [subject, issuer] = [certificate.subject, certificate.issuer].map(commonName);
  log.info(`${relay}: subject_CN=${subject}, issuer_CN=${issuer}, fingerprint=${own}, pkey_fingerprint=${key}`);
}

function commonName(name: string | undefined): string {
  const line = (name ?? "").split("\n").find((part) => part.startsWith("CN="));
  return printableUtf8(line?.slice(3) ?? "");
}

/** Node tells the group; the server's signature follows from its key where the key leaves no choice (RFC 8446 §4.2.3). */
function keyExchange({ session, certificate }: EstablishedTls): string {
  const group = session.keyExchange;
  const exchange = group === undefined ? "" : ` key-exchange ${/^X\d/.test(group) ? group : `ECDHE (${group})`}`;
  const key = certificate()?.publicKey;
  const curve = key?.asymmetricKeyDetails?.namedCurve;
  if (key?.asymmetricKeyType !== "ec" || curve === undefined) return exchange;
  const digest = SIGNATURE_DIGESTS.get(curve);
  return digest === undefined ? exchange : `${exchange} server-signature ECDSA (${curve}) server-digest ${digest}`;
}

const SIGNATURE_DIGESTS: ReadonlyMap<string, string> = new Map([
  ["prime256v1", "SHA256"],
  ["secp384r1", "SHA384"],
  ["secp521r1", "SHA512"],
]);
