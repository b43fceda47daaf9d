/** master/tls-reports.ts: sends the daily TLS reports (RFC 8460) of all workers, in one of them: by mail through the maildrop, so
 *  that they are signed and queued like any other mail of this machine, or by HTTPS. What could not be sent is tried again
 *  for two days. */
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Clock, Timer } from "../base/clock.ts";
import { writeFileDurably } from "../base/durable.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { fetchHttps, HttpsError } from "../net/https-fetch.ts";
import { publicAuthorities } from "../net/tls-files.ts";
import { DropFile } from "../pickup/drop-file.ts";
import type { Pickup } from "../pickup/pickup.ts";
import { formatSubmission, isMailAddress } from "../pickup/submission.ts";
import { formatReport, formatReportMail, type ReportHead, reportTargets } from "../smtp/tls-report.ts";
import { dayOf, daysIn, formatCounts, type PolicyCount, readDay } from "../smtp/tls-tally.ts";
import { queueDirectories } from "./directories.ts";
import type { WorkerKit } from "./kit.ts";

export interface TlsReportsParts {
  /** Where the counts are. */
  readonly directory: string;
  readonly maildrop: string;
  /** Looks into the maildrop. */
  readonly wake: () => void;
  /** Of main.cf at the moment. */
  readonly params: () => Parameters;
  readonly dns: Dns;
  readonly clock: Clock;
  readonly log: () => Log;
  /** PEM of the CAs of servers that take reports; their port where the address names none. */
  readonly https: { readonly authorities: () => readonly string[]; readonly port: number };
  /** In [0, 1). */
  readonly random: () => number;
}

const HTTPS_PORT = 443;
const LOOK_MS = 15 * 60_000;
/** Behind midnight: all workers have written their counts. */
const SETTLED_MS = 15 * 60_000;
/** RFC 8460 §4.1: spread, so that not everybody reports at midnight. */
const SPREAD_MS = 4 * 3_600_000;
const DAY_MS = 86_400_000;
const GIVE_UP_MS = 3 * DAY_MS;
const HTTPS_TIMEOUT_MS = 60_000;
const HTTPS_LIMIT_BYTES = 64 * 1024;

export class TlsReports {
  readonly #parts: TlsReportsParts;
  readonly #spreadMs: number;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;
  #giveUp: () => void = () => undefined;
  /** Rejects at close(): no server is waited for any longer. */
  readonly #ended: Promise<never>;

  constructor(parts: TlsReportsParts) {
    this.#parts = parts;
    this.#ended = new Promise((_, reject) => {
      this.#giveUp = () => reject(new HttpsError("other", "the server is being stopped"));
    });
    this.#ended.catch(() => undefined); // where nobody waits
    this.#spreadMs = SETTLED_MS + parts.random() * SPREAD_MS;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(
      LOOK_MS,
      () => {
        this.#running = this.look().finally(() => {
          if (!this.#closed) this.start();
        });
      },
      { ref: false },
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#giveUp();
    await this.#running;
  }

  /** Sends the reports on days that are over. Never rejects. */
  async look(): Promise<void> {
    const { directory, clock, log } = this.#parts;
    try {
      for (const day of await daysIn(directory)) {
        const overMs = clock.now() - (Date.parse(`${day}T00:00:00Z`) + DAY_MS);
        if (day < dayOf(clock.now()) && overMs >= this.#spreadMs && !this.#closed) await this.#report(day, overMs);
      }
    } catch (error) {
      log().warning(`TLS reports: ${printableUtf8((error as Error).message)}`);
    }
  }

  async #report(day: string, overMs: number): Promise<void> {
    const { directory, log } = this.#parts;
    const { counts, files } = await readDay(directory, day);
    const domains = Map.groupBy(counts.values(), ({ policy }) => policy.domain);
    let sent = 0;
    for (const [domain, policies] of domains) {
      if (this.#closed) break;
      const result = await this.#reportOn({ day, domain, policies });
      if (result === "later" && overMs < GIVE_UP_MS) continue;
      if (result === "later") log().warning(`TLS report to ${domain} on ${day}: given up`);
      if (result === "sent") sent++;
      domains.delete(domain);
    }
    await this.#keepRest(day, { policies: [...domains.values()].flat(), files });
    if (sent > 0) {
      log().info(`TLS reports on ${day}: ${sent} sent`);
      this.#parts.wake();
    }
  }

  /** What is left is in the new file before the old ones go. */
  async #keepRest(day: string, { policies, files }: { policies: readonly PolicyCount[]; files: readonly string[] }) {
    const { directory } = this.#parts;
    if (policies.length > 0) {
      const path = join(directory, `${day}.${randomBytes(8).toString("hex")}`);
      await writeFileDurably(path, Buffer.from(formatCounts(policies)), { mode: 0o600 });
    }
    for (const file of files) await rm(file, { force: true });
  }

  async #reportOn(of: {
    day: string;
    domain: string;
    policies: readonly PolicyCount[];
  }): Promise<"sent" | "none" | "later"> {
    const { dns, params } = this.#parts;
    const answer = (await dns.txt?.(`_smtp._tls.${of.domain}`)) ?? { kind: "temporary" };
    if (answer.kind === "temporary") return "later";
    const targets = answer.kind === "found" ? reportTargets(answer.records) : [];
    if (targets.length === 0) return "none";
    const head: ReportHead = {
      organization: params().get("smtp_tlsrpt_organization"),
      contact: params().get("smtp_tlsrpt_contact"),
      ...{ day: of.day, domain: of.domain, id: `${of.day}.${randomBytes(8).toString("hex")}` },
    };
    const compressed = gzipSync(formatReport(head, of.policies));
    const results = [];
    for (const target of targets) results.push(await this.#send(head, target, compressed));
    return results.includes(true) ? "sent" : "later";
  }

  /** Whether it is on its way. */
  async #send(head: ReportHead, target: string, compressed: Uint8Array): Promise<boolean> {
    try {
      if (/^https:/i.test(target)) await this.#post(target, compressed);
      else this.#mail(head, decodeURIComponent(target.slice("mailto:".length).replace(/\?.*/, "")), compressed);
      return true;
    } catch (error) {
      // The file system, the network, or bad percent encoding.
      this.#parts.log().warning(printableUtf8(`TLS report to ${target}: ${(error as Error).message}`));
      return false;
    }
  }

  #mail(head: ReportHead, to: string, compressed: Uint8Array): void {
    const { params, maildrop, clock } = this.#parts;
    const from = params().get("smtp_tlsrpt_sender");
    if (!isMailAddress(to)) throw new Error("not an address");
    const submission = formatSubmission({ sender: asAddress(from), recipients: [asAddress(to)], notify: ["NEVER"] });
    if (submission === undefined) throw new Error("not an address");
    const file = new DropFile(maildrop);
    try {
      file.write(submission);
      file.write(Buffer.from(formatReportMail(head, { from, to, compressed, nowMs: clock.now() })));
      file.complete();
    } catch (error) {
      file.abandon();
      throw error;
    }
  }

  /** Rejects Error with the reason. */
  async #post(target: string, bytes: Uint8Array): Promise<void> {
    const { dns, clock, https } = this.#parts;
    const url = new URL(target);
    const found = await dns.addresses(url.hostname);
    if (found.kind !== "found") throw new HttpsError("other", found.text);
    const sent = fetchHttps({
      host: url.hostname,
      address: found.records[0]?.address ?? "",
      port: url.port === "" ? https.port : Number(url.port),
      path: `${url.pathname}${url.search}`,
      authorities: https.authorities(),
      clock,
      timeoutMs: HTTPS_TIMEOUT_MS,
      limitBytes: HTTPS_LIMIT_BYTES,
      content: { type: "application/tlsrpt+gzip", bytes },
    });
    const { status } = await Promise.race([sent, this.#ended]);
    if (status < 200 || status > 299) throw new HttpsError("other", `${url.hostname} answered ${status}`);
  }
}

/** The reports of the one worker that has the pickup. */
export function wireTlsReports(wiring: {
  readonly kit: WorkerKit;
  readonly pickup: Pickup;
  readonly params: () => Parameters;
}): TlsReports {
  const { kit, pickup, params } = wiring;
  const { tlsReports, maildrop } = queueDirectories(params());
  return new TlsReports({
    ...{ params, maildrop, dns: kit.dns, clock: kit.clock, random: Math.random },
    directory: tlsReports,
    wake: () => void pickup.wake(),
    log: () => kit.logFor(`${params().get("syslog_name")}/smtp`),
    https: { authorities: () => publicAuthorities().map((authority) => authority.toString()), port: HTTPS_PORT },
  });
}
