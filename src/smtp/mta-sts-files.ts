/** smtp/mta-sts-files.ts: the policies of domains on disk, one file each, shared by all workers; what no longer holds is
 *  removed. No error is worse than a policy that is fetched again: each is logged, nothing rejects. */
import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileDurably } from "../base/durable.ts";
import type { Log } from "../log/log.ts";
import { parseStsPolicy, type StsPolicy } from "./mta-sts-policy.ts";

export interface KnownPolicy extends StsPolicy {
  readonly domain: string;
  readonly id: string;
  /** Wall clock. */
  readonly fetchedMs: number;
}

/** Whether its max_age is over. */
export function isExpired({ fetchedMs, maxAgeS }: KnownPolicy, nowMs: number): boolean {
  return nowMs - fetchedMs >= maxAgeS * 1000;
}

/** SHA-256 of a domain: domains may be longer than file names. */
const FILE_NAME = /^[0-9a-f]{64}$/;

export class PolicyFiles {
  readonly #directory: string;
  readonly #log: Log;

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  async read(domain: string): Promise<KnownPolicy | undefined> {
    const policy = await this.#readFile(this.#path(domain));
    return policy?.domain === domain ? policy : undefined;
  }

  /** A policy that cannot be kept is fetched again after a restart. */
  async write(policy: KnownPolicy): Promise<void> {
    const path = this.#path(policy.domain);
    try {
      await writeFileDurably(path, Buffer.from(`${JSON.stringify(policy)}\n`), { mode: 0o600 });
    } catch (error) {
      this.#log.warning(`Cannot keep the MTA-STS policy "${path}": ${(error as Error).message}`);
    }
  }

  async remove(domain: string): Promise<void> {
    await this.#remove(this.#path(domain));
  }

  /** Removes all that expired before `nowMs`, one after the other: a day's work need not be quick. Another worker may write
   *  a newer one in the moment between; it is then fetched once more. */
  async sweep(nowMs: number): Promise<void> {
    for (const name of await this.#names()) {
      const path = join(this.#directory, name);
      const policy = await this.#readFile(path);
      if (policy && isExpired(policy, nowMs)) await this.#remove(path);
    }
  }

  async #names(): Promise<readonly string[]> {
    try {
      return (await readdir(this.#directory)).filter((name) => FILE_NAME.test(name));
    } catch (error) {
      this.#log.warning(`Cannot look for MTA-STS policies in "${this.#directory}": ${(error as Error).message}`);
      return [];
    }
  }

  async #readFile(path: string): Promise<KnownPolicy | undefined> {
    try {
      return policyIn(await readFile(path, "utf8"));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      this.#log.warning(`Cannot read the MTA-STS policy "${path}": ${(error as Error).message}`);
      return undefined;
    }
  }

  async #remove(path: string): Promise<void> {
    try {
      await rm(path, { force: true });
    } catch (error) {
      this.#log.warning(`Cannot remove the MTA-STS policy "${path}": ${(error as Error).message}`);
    }
  }

  #path(domain: string): string {
    return join(this.#directory, createHash("sha256").update(domain).digest("hex"));
  }
}

/** What write() has written; undefined for anything else, as half a file of a full disk. */
function policyIn(text: string): KnownPolicy | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { id, fetchedMs, mode, maxAgeS, mx, domain } = value as Partial<Record<keyof KnownPolicy, unknown>>;
  if (typeof domain !== "string" || typeof id !== "string" || typeof fetchedMs !== "number" || !Array.isArray(mx))
    return undefined;
  const lines = [`version: STSv1`, `mode: ${mode}`, `max_age: ${maxAgeS}`, ...mx.map((name) => `mx: ${name}`)];
  const policy = parseStsPolicy(lines.join("\n"));
  return "problem" in policy ? undefined : { ...policy, domain, id, fetchedMs };
}
