/** smtp/mta-sts.ts: MTA-STS policies of domains (RFC 8461): found by a TXT record, fetched over HTTPS, kept in memory and on
 *  disk until their max_age is over. A policy that is known and not too old counts whatever DNS or the web server say now
 *  (§5: otherwise who can suppress an answer could suppress the policy). */
import type { Clock } from "../base/clock.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { fetchHttps, HttpsError } from "../net/https-fetch.ts";
import { isExpired, type KnownPolicy, PolicyFiles } from "./mta-sts-files.ts";
import { parseStsPolicy, policyId, type StsPolicy } from "./mta-sts-policy.ts";

export interface MtaStsParts {
  readonly dns: Dns;
  readonly clock: Clock;
  readonly log: Log;
  /** Where policies are kept over restarts; shared by all workers. undefined: nowhere. */
  readonly directory: string | undefined;
  /** PEM of the CAs that policy servers may be signed by; asked for at each fetch. */
  readonly authorities: () => readonly string[];
  /** 443 but in tests. */
  readonly port: number;
}

/** Why a domain that announces a policy has none that could be had, in the words of RFC 8460 §4.3. */
export type StsFailure = "sts-policy-fetch-error" | "sts-policy-invalid" | "sts-webpki-invalid";

export type StsAnswer = { readonly policy: KnownPolicy } | { readonly failure: StsFailure | undefined };

const FETCH_TIMEOUT_MS = 60_000;
const FETCH_LIMIT_BYTES = 64 * 1024;
/** A policy server that failed is left alone so long (§3.3). */
const FAILURE_MS = 5 * 60_000;
/** A policy is fetched anew after a day, or half its life, even if its id is the same: a last chance to keep it (§10.2). */
const REFRESH_MS = 86_400_000;
const SWEEP_MS = 86_400_000;
const MAX_DOMAINS = 10_000;

interface Entry {
  /** undefined: not looked for on disk yet. */
  known: { readonly policy: KnownPolicy | undefined } | undefined;
  failure: StsFailure | undefined;
  /** Clock.monotonic() until which nothing is fetched. */
  quietUntilMs: number;
  pending: Promise<StsAnswer> | undefined;
}

export class MtaSts {
  readonly #parts: MtaStsParts;
  readonly #entries = new Map<string, Entry>();
  readonly #files: PolicyFiles | undefined;
  /** Clock.monotonic(). */
  #nextSweepMs = 0;
  /** The end of the last sweep of the directory. Never rejects. */
  swept: Promise<void> = Promise.resolve();

  constructor(parts: MtaStsParts) {
    this.#parts = parts;
    const { directory, log } = parts;
    this.#files = directory === undefined ? undefined : new PolicyFiles(directory, log);
  }

  /** The policy of a domain in A-labels, lower case. Never rejects. One question at a time for each domain. */
  policyOf(domain: string): Promise<StsAnswer> {
    const entry = this.#entry(domain);
    entry.pending ??= this.#look(domain, entry).finally(() => {
      entry.pending = undefined;
    });
    return entry.pending;
  }

  #entry(domain: string): Entry {
    const known = this.#entries.get(domain);
    if (known) return known;
    if (this.#entries.size >= MAX_DOMAINS) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    const entry: Entry = { known: undefined, failure: undefined, quietUntilMs: 0, pending: undefined };
    this.#entries.set(domain, entry);
    return entry;
  }

  async #look(domain: string, entry: Entry): Promise<StsAnswer> {
    entry.known ??= { policy: await this.#files?.read(domain) };
    const kept = this.#unexpired(entry.known.policy);
    if (entry.known.policy && !kept) {
      entry.known = { policy: undefined };
      await this.#files?.remove(domain);
    }
    const answer = await this.#parts.dns.txt?.(`_mta-sts.${domain}`);
    const id = answer?.kind === "found" ? policyId(answer.records) : undefined;
    const { clock } = this.#parts;
    const wanted = id !== undefined && (kept?.id !== id || this.#isDue(kept));
    if (wanted && entry.quietUntilMs <= clock.monotonic()) await this.#refresh(domain, id, entry);
    const policy = this.#unexpired(entry.known.policy);
    return policy ? { policy } : { failure: id === undefined ? undefined : entry.failure };
  }

  #unexpired(policy: KnownPolicy | undefined): KnownPolicy | undefined {
    return policy === undefined || isExpired(policy, this.#parts.clock.now()) ? undefined : policy;
  }

  /** New policies come, so old ones must go: those of domains to which nobody writes any more. */
  #sweepDaily(): void {
    const nowMs = this.#parts.clock.monotonic();
    if (!this.#files || nowMs < this.#nextSweepMs) return;
    this.#nextSweepMs = nowMs + SWEEP_MS;
    this.swept = this.#files.sweep(this.#parts.clock.now());
  }

  #isDue({ fetchedMs, maxAgeS }: KnownPolicy): boolean {
    return this.#parts.clock.now() - fetchedMs >= Math.min(REFRESH_MS, maxAgeS * 500);
  }

  async #refresh(domain: string, id: string, entry: Entry): Promise<void> {
    const { clock, log } = this.#parts;
    const fetched = await this.#fetch(domain);
    if ("failure" in fetched) {
      log.warning(`MTA-STS policy of ${domain}: ${printableUtf8(fetched.why)}`);
      entry.failure = fetched.failure;
      entry.quietUntilMs = clock.monotonic() + FAILURE_MS;
      return;
    }
    const policy = { ...fetched, domain, id, fetchedMs: clock.now() };
    entry.failure = undefined;
    entry.known = { policy };
    await this.#files?.write(policy);
    this.#sweepDaily();
  }

  async #fetch(domain: string): Promise<StsPolicy | { readonly failure: StsFailure; readonly why: string }> {
    const { dns, clock, port, authorities } = this.#parts;
    const host = `mta-sts.${domain}`;
    const found = await dns.addresses(host);
    if (found.kind !== "found") return { failure: "sts-policy-fetch-error", why: `${host}: ${found.text}` };
    const address = found.records[0]?.address ?? "";
    try {
      const { status, mediaType, body } = await fetchHttps({
        ...{ host, address, port, clock, authorities: authorities() },
        path: "/.well-known/mta-sts.txt",
        timeoutMs: FETCH_TIMEOUT_MS,
        limitBytes: FETCH_LIMIT_BYTES,
      });
      if (status !== 200) return { failure: "sts-policy-fetch-error", why: `${host} answered ${status}` };
      if (mediaType !== "text/plain") return { failure: "sts-policy-invalid", why: `media type "${mediaType}"` };
      const policy = parseStsPolicy(body.toString("latin1"));
      return "problem" in policy ? { failure: "sts-policy-invalid", why: policy.problem } : policy;
    } catch (error) {
      if (!(error instanceof HttpsError)) throw error;
      const failure = error.kind === "certificate" ? "sts-webpki-invalid" : "sts-policy-fetch-error";
      return { failure, why: `${host}: ${error.message}` };
    }
  }
}
