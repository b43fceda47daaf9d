/** smtp/mta-sts.ts: MTA-STS policies of domains (RFC 8461): found by a TXT record, fetched over HTTPS, kept in memory and on
 *  disk until their max_age is over. A policy that is known and not too old counts whatever DNS or the web server say now
 *  (§5: otherwise who can suppress an answer could suppress the policy). */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { writeFileDurably } from "../base/durable.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { fetchHttps, HttpsError } from "../net/https-fetch.ts";
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

export interface KnownPolicy extends StsPolicy {
  readonly domain: string;
  readonly id: string;
  /** Wall clock. */
  readonly fetchedMs: number;
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

  constructor(parts: MtaStsParts) {
    this.#parts = parts;
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
    entry.known ??= { policy: await this.#read(domain) };
    const kept = this.#unexpired(entry.known.policy);
    const answer = await this.#parts.dns.txt?.(`_mta-sts.${domain}`);
    const id = answer?.kind === "found" ? policyId(answer.records) : undefined;
    const { clock } = this.#parts;
    const wanted = id !== undefined && (kept?.id !== id || this.#isDue(kept));
    if (wanted && entry.quietUntilMs <= clock.monotonic()) await this.#refresh(domain, id, entry);
    const policy = this.#unexpired(entry.known.policy);
    return policy ? { policy } : { failure: id === undefined ? undefined : entry.failure };
  }

  #unexpired(policy: KnownPolicy | undefined): KnownPolicy | undefined {
    if (policy === undefined) return undefined;
    const ageMs = this.#parts.clock.now() - policy.fetchedMs;
    return ageMs < policy.maxAgeS * 1000 ? policy : undefined;
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
    await this.#write(policy);
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

  async #read(domain: string): Promise<KnownPolicy | undefined> {
    const path = this.#path(domain);
    if (path === undefined) return undefined;
    try {
      return policyIn(await readFile(path, "utf8"), domain);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      this.#parts.log.warning(`Cannot read the MTA-STS policy "${path}": ${(error as Error).message}`);
      return undefined;
    }
  }

  /** A policy that cannot be kept is fetched again after a restart. */
  async #write(policy: KnownPolicy): Promise<void> {
    const path = this.#path(policy.domain);
    if (path === undefined) return;
    try {
      await writeFileDurably(path, Buffer.from(`${JSON.stringify(policy)}\n`), { mode: 0o600 });
    } catch (error) {
      this.#parts.log.warning(`Cannot keep the MTA-STS policy "${path}": ${(error as Error).message}`);
    }
  }

  /** Domains may be longer than file names. */
  #path(domain: string): string | undefined {
    const { directory } = this.#parts;
    return directory && join(directory, createHash("sha256").update(domain).digest("hex"));
  }
}

/** What #write() has written; undefined for anything else, as half a file of a full disk. */
function policyIn(text: string, domain: string): KnownPolicy | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { id, fetchedMs, mode, maxAgeS, mx, domain: named } = value as Partial<Record<keyof KnownPolicy, unknown>>;
  if (named !== domain || typeof id !== "string" || typeof fetchedMs !== "number" || !Array.isArray(mx))
    return undefined;
  const lines = [`version: STSv1`, `mode: ${mode}`, `max_age: ${maxAgeS}`, ...mx.map((name) => `mx: ${name}`)];
  const policy = parseStsPolicy(lines.join("\n"));
  return "problem" in policy ? undefined : { ...policy, domain, id, fetchedMs };
}
