/** access/restrictions/permit-mx-backup.ts: `permit_mx_backup`, for recipients in our own and relay domains, and in domains for
 *  which this system is a mail exchanger but not one of the best. Without permit_mx_backup_networks the owner of any
 *  domain can make it so: relay_domains is the safe way, and Postfix will remove this word. */
import { ParameterError } from "../../config/declare.ts";
import type { MxRecord } from "../../dns/resolver.ts";
import { asAddress, domainOf } from "../../mail/address.ts";
import { compileAddressList } from "../../tables/pattern-list.ts";
import { TableError } from "../../tables/table.ts";
import { isAuthorizedDestination } from "../destination.ts";
import { asciiDomain, DnsQuestions, isNullMx } from "../dns-questions.ts";
import { rejected, type Subject } from "../reply-text.ts";
import { type Context, DUNNO, type Outcome, PERMIT, type Services, type Word } from "../restriction.ts";

/** More exchangers than this nobody has; those beyond are not asked about. */
const MAX_EXCHANGERS = 100;

export const permitMxBackup: Word = {
  names: ["permit_mx_backup"],
  argument: "none",
  build(services) {
    const check = new MxBackup(services);
    return async (context) => {
      const { recipient } = context.facts;
      if (recipient === undefined) return DUNNO;
      if (await isAuthorizedDestination(recipient, context, services)) return PERMIT;
      const address = services.resolver.rewrite(recipient);
      if (!services.params.get("allow_untrusted_routing") && services.resolver.hasSenderRouting(address)) return DUNNO;
      const domain = domainOf(address) ?? "";
      if (/^\[.*\]$/.test(domain)) return DUNNO;
      return check.outcome(asciiDomain(domain), { name: recipient, replyClass: "Recipient address" }, context);
    };
  },
};

/** "temporary" carries the reply with which a later 5xx is deferred. */
type Tested =
  | { readonly kind: "yes" }
  | { readonly kind: "no" }
  | { readonly kind: "temporary"; readonly text: string };

const YES: Tested = { kind: "yes" };
const NO: Tested = { kind: "no" };

class MxBackup {
  readonly #services: Services;
  readonly #questions: DnsQuestions;
  readonly #networks: ReturnType<typeof compileAddressList> | undefined;

  constructor(services: Services) {
    this.#services = services;
    this.#questions = new DnsQuestions(services.dns);
    this.#networks = networksOf(services);
  }

  async outcome(domain: string, subject: Subject, context: Context): Promise<Outcome> {
    const tested = await this.#isBackup(domain, context);
    if (tested.kind === "yes") return PERMIT;
    if (tested.kind === "no") return DUNNO;
    return { kind: "deferIfReject", reply: rejected(450, "4.4.4", subject, tested.text) };
  }

  async #isBackup(domain: string, context: Context): Promise<Tested> {
    const answer = await this.#questions.mx(domain, context);
    if (answer.kind === "temporary") {
      return { kind: "temporary", text: `Unable to look up mail exchanger information: ${answer.text}` };
    }
    if (answer.kind !== "found" || isNullMx(answer)) return NO;
    const exchangers = answer.records.toSorted((a, b) => a.preference - b.preference).slice(0, MAX_EXCHANGERS);
    const best = exchangers.filter(({ preference }) => preference === exchangers[0]?.preference);
    const primary = await this.#isOneOf(best, context);
    if (primary.kind === "yes") return NO;
    const backup = await this.#isOneOf(exchangers.slice(best.length), context);
    if (backup.kind !== "yes") return firstTemporary(primary, backup);
    const trusted = this.#networks ? await this.#areTrusted(best, context) : YES;
    // Who could not be told to be a primary may be one: that permits nobody.
    return primary.kind === "temporary" ? primary : trusted;
  }

  /** Whether one of the exchangers is this system, by name or by address. */
  async #isOneOf(exchangers: readonly MxRecord[], context: Context): Promise<Tested> {
    const { resolver } = this.#services;
    for (const { exchange } of exchangers) {
      if ((await resolver.classOf(asAddress(`postmaster@${exchange}`))) !== "local") continue;
      context.trace?.remark(`mail exchanger ${exchange} is this system`);
      return YES;
    }
    let result = NO;
    for (const { exchange } of exchangers) {
      const tested = await this.#hasOwnAddress(exchange, context);
      if (tested.kind === "yes") return tested;
      result = firstTemporary(result, tested);
    }
    return result;
  }

  async #hasOwnAddress(host: string, context: Context): Promise<Tested> {
    const answer = await this.#questions.hosts(host, context);
    if (answer.kind !== "found") {
      return { kind: "temporary", text: `Unable to look up mail exchanger host ${host}: ${answer.text}` };
    }
    for (const { address, family } of answer.records) {
      const literal = family === 6 ? `[IPv6:${address}]` : `[${address}]`;
      if ((await this.#services.resolver.classOf(asAddress(`postmaster@${literal}`))) !== "local") continue;
      context.trace?.remark(`mail exchanger ${host}[${address}] is this system`);
      return YES;
    }
    return NO;
  }

  /** Whether all addresses of the best exchangers are in permit_mx_backup_networks. */
  async #areTrusted(exchangers: readonly MxRecord[], context: Context): Promise<Tested> {
    for (const { exchange } of exchangers) {
      const addresses = await this.#addressesOf(exchange, context);
      if ("text" in addresses) {
        return { kind: "temporary", text: `Unable to look up host ${exchange} as mail exchanger: ${addresses.text}` };
      }
      for (const address of addresses.found) {
        const tested = await this.#isTrusted(exchange, address);
        context.trace?.lookup("permit_mx_backup_networks", address, tested.kind === "yes" ? exchange : undefined);
        if (tested.kind !== "yes") return tested;
      }
    }
    return YES;
  }

  async #addressesOf(host: string, context: Context): Promise<{ found: readonly string[] } | { text: string }> {
    const answers = [await this.#questions.records(host, 4, context), await this.#questions.records(host, 6, context)];
    const unsure = answers.find(({ kind }) => kind === "temporary");
    const found = answers.flatMap((answer) => (answer.kind === "found" ? answer.records : []));
    const failure = unsure ?? (found.length === 0 ? answers[0] : undefined);
    return failure && failure.kind !== "found" ? { text: failure.text } : { found };
  }

  async #isTrusted(host: string, address: string): Promise<Tested> {
    try {
      return (await this.#networks?.matches(address, host)) ? YES : NO;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      const what = `address ${address} for ${host}`;
      this.#services.log.warning(`all_auth_mx_addr: permit_mx_backup_networks lookup error for ${what}`);
      return { kind: "temporary", text: `Unable to verify host ${host} as mail exchanger` };
    }
  }
}

function firstTemporary(a: Tested, b: Tested): Tested {
  return a.kind === "temporary" ? a : b;
}

/** $permit_mx_backup_networks; undefined if it is empty. Throws ParameterError for a bad item. */
function networksOf({ params, tables }: Services): ReturnType<typeof compileAddressList> | undefined {
  const items = params.get("permit_mx_backup_networks");
  if (items.length === 0) return undefined;
  const parentMatches = params.get("parent_domain_matches_subdomains").includes("permit_mx_backup_networks");
  const list = compileAddressList(items, { opener: tables, parentMatches });
  const problem = list.problems[0];
  if (problem !== undefined) throw new ParameterError(`permit_mx_backup_networks: ${problem}`);
  return list;
}
