/** smtp/tls-engine.ts: TLS contexts, one for each set of demands and not for each connection, and the sessions that may be
 *  resumed. A resumed session keeps the judgement of the handshake that began it, and its end of life: no certificate is
 *  seen again. Lives as long as one configuration. */
import type { X509Certificate } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { type ClientTls, createClientTls } from "../net/client-tls.ts";
import type { Judgement, TlsaRecord } from "../net/server-certificate.ts";
import { type FileReaders, publicAuthorities, readAuthorities, readMaterial } from "../net/tls-files.ts";
import type { TlsPolicy } from "./tls-policy.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** What tables can ask for is not bounded by the configuration. */
const MAX_CONTEXTS = 100;
const MAX_SESSIONS = 1000;
const MAX_ANCHORS = 10;

export interface TlsContext extends ClientTls {
  /** Differs where the demands do. */
  readonly key: string;
  readonly authorities: readonly X509Certificate[];
}

export interface KeptSession {
  readonly session: Buffer;
  readonly judgement: Judgement;
  /** Clock.monotonic() after which a full handshake is made. */
  readonly untilMs: number;
}

/** CAs that a context trusts instead of those of main.cf. */
export type Anchors = { readonly certificates: readonly X509Certificate[] } | undefined;

export class TlsEngine {
  readonly #settings: TlsSettings;
  readonly #files: FileReaders;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #contexts = new Map<string, TlsContext>();
  readonly #sessions = new Map<string, KeptSession>();
  readonly #anchors = new Map<string, readonly X509Certificate[]>();

  constructor(settings: TlsSettings, files: FileReaders, clock: Pick<Clock, "monotonic">) {
    this.#settings = settings;
    this.#files = files;
    this.#clock = clock;
  }

  /** The context of a policy, or what is wrong with its files or words. */
  context(policy: TlsPolicy, anchors?: Anchors): TlsContext | { readonly problem: string } {
    const { offer, anchorFiles, sts } = policy;
    const certificates = anchors?.certificates.map((certificate) => certificate.fingerprint256);
    const key = JSON.stringify([offer, anchorFiles, certificates, sts !== undefined]);
    const kept = this.#contexts.get(key);
    if (kept) return kept;
    const made = this.#make(policy, anchors);
    if ("problem" in made) return made; // not kept: files may be mended
    const context = { key, ...made };
    bound(this.#contexts, MAX_CONTEXTS);
    this.#contexts.set(key, context);
    return context;
  }

  /** A file has changed: everything is made anew, and no old session is resumed. */
  forget(): void {
    this.#contexts.clear();
    this.#sessions.clear();
  }

  /** Trust anchors that servers showed, and that these records name by digest. */
  anchors(records: readonly TlsaRecord[]): readonly X509Certificate[] {
    return this.#anchors.get(keyOf(records)) ?? [];
  }

  /** Keeps the anchors of a chain. Servers choose what they show: only so many are kept for one set of records. */
  learnAnchors(records: readonly TlsaRecord[], seen: readonly X509Certificate[]): void {
    const known = this.anchors(records);
    const fresh = seen.filter((one) => !known.some((other) => other.raw.equals(one.raw)));
    if (fresh.length === 0 || known.length + fresh.length > MAX_ANCHORS) return;
    bound(this.#anchors, MAX_SESSIONS);
    this.#anchors.set(keyOf(records), [...known, ...fresh]);
  }

  /** A session of this server under these demands that may be resumed. */
  session(key: string): KeptSession | undefined {
    const kept = this.#sessions.get(key);
    if (kept === undefined || kept.untilMs > this.#clock.monotonic()) return kept;
    this.#sessions.delete(key);
    return undefined;
  }

  /** Keeps the latest. `before`: the one it was resumed from, whose end of life stays. */
  keep(key: string, session: Buffer, judged: { judgement: Judgement; before?: KeptSession | undefined }): void {
    const lifeMs = this.#settings.sessionCacheMs;
    if (lifeMs === undefined) return;
    const untilMs = judged.before?.untilMs ?? this.#clock.monotonic() + lifeMs;
    this.#sessions.delete(key);
    bound(this.#sessions, MAX_SESSIONS);
    this.#sessions.set(key, { session, judgement: judged.judgement, untilMs });
  }

  #make(policy: TlsPolicy, anchors: Anchors): Omit<TlsContext, "key"> | { readonly problem: string } {
    const settings = this.#settings;
    const own = readMaterial(settings.own, this.#files);
    if ("problem" in own) return own;
    const trusted = anchors ? { authorities: anchors.certificates } : this.authorities(policy);
    if ("problem" in trusted) return trusted;
    const { protocols, grade, exclude } = policy.offer;
    const made = createClientTls({
      protocols,
      grade,
      excludeCiphers: exclude,
      cipherList: settings.cipherLists[grade],
      curves: settings.curves,
      own,
      authorities: trusted.authorities,
      partialChain: anchors !== undefined || policy.anchorFiles.length > 0,
    });
    return "problem" in made ? made : { ...made, ...trusted };
  }

  /** The CAs of main.cf; a policy of the peer's own domain needs public ones, where main.cf names none. */
  authorities({ anchorFiles, sts }: Pick<TlsPolicy, "anchorFiles" | "sts">): ReturnType<typeof readAuthorities> {
    const { file, directory, appendPublic } = this.#settings.trust;
    if (anchorFiles.length === 0) {
      const found = readAuthorities({ file, directory, appendPublic: false }, this.#files);
      if ("problem" in found) return found;
      const withPublic = appendPublic || (sts !== undefined && found.authorities.length === 0);
      return withPublic ? { authorities: [...found.authorities, ...publicAuthorities()] } : found;
    }
    const authorities: X509Certificate[] = [];
    for (const anchorFile of anchorFiles) {
      const found = readAuthorities({ file: anchorFile, directory: "", appendPublic: false }, this.#files);
      if ("problem" in found) return found;
      authorities.push(...found.authorities);
    }
    return { authorities };
  }
}

function keyOf(records: readonly TlsaRecord[]): string {
  return JSON.stringify(
    records.map((r) => [r.usage, r.selector, r.matchingType, Buffer.from(r.association).toString("hex")]),
  );
}

/** Makes room for one more: the oldest goes. */
function bound(map: Map<string, unknown>, limit: number): void {
  if (map.size < limit) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
