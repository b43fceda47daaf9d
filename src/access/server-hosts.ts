/** access/server-hosts.ts: check_*_{a,mx,ns}_access: a table asked for the hosts behind a name: its own addresses, its mail
 *  exchangers or its name servers, each by name and parent domains (not for A) and by address and its prefixes. The owner of
 *  a domain chooses its hosts, so a table must not say OK here. */
import { canonicalIp, parseAddress } from "../base/cidr.ts";
import { systemClock } from "../base/clock.ts";
import { printableAscii } from "../mail/printable.ts";
import type { RuleRef } from "./access.ts";
import { AccessTable } from "./access-table.ts";
import { asciiDomain, DnsQuestions, isNullMx } from "./dns-questions.ts";
import { forbidPermit } from "./forbid-permit.ts";
import { isAddressLiteral } from "./hostname.ts";
import { lookupFailure, type Subject } from "./reply-text.ts";
import { type Context, DUNNO, type Outcome, type Services } from "./restriction.ts";

export type ServerType = "A" | "MX" | "NS";

/** Addresses looked at, as Postfix 3.9 has it, and host names too; what is beyond does not count. */
const MAX_ADDRESSES = 100;
const MAX_HOSTS = 100;
/** All look-ups of one rule; beyond it the command is deferred: a slow name server must not be a way through. */
const MAX_TIME_MS = 60_000;

/** What is asked about: `name` a host name or mail address, `target` as the warning about OK names it. */
export interface ServerQuestion {
  readonly name: string;
  readonly target: string;
  readonly subject: Subject;
}

export class ServerHosts {
  readonly #type: ServerType;
  readonly #table: AccessTable;
  readonly #questions: DnsQuestions;
  readonly #services: Services;
  readonly #word: string;
  readonly #protocols: ReadonlySet<4 | 6>;

  constructor(type: ServerType, services: Services, rule: { readonly argument: string; readonly ref: RuleRef }) {
    this.#type = type;
    this.#table = new AccessTable(services, rule);
    this.#questions = new DnsQuestions(services.dns);
    this.#services = services;
    this.#word = rule.ref.text.split(" ")[0] ?? "";
    this.#protocols = protocolsOf(services);
  }

  /** The outcome of the first host found in the table. */
  async check(question: ServerQuestion, context: Context): Promise<Outcome> {
    const outcome = await this.#search(question, context);
    return forbidPermit(outcome, { restriction: this.#word, target: question.target, log: this.#services.log });
  }

  async #search({ name, subject }: ServerQuestion, context: Context): Promise<Outcome> {
    const domain = name.slice(name.lastIndexOf("@") + 1);
    if (domain.startsWith("[")) return this.#literal(domain, subject, context);
    const hosts = await this.#hostsOf(asciiDomain(domain), name, context);
    return hosts === undefined ? DUNNO : this.#checkHosts(hosts, subject, context);
  }

  /** An address literal is its own mail exchanger, and has no name server. */
  async #literal(domain: string, subject: Subject, context: Context): Promise<Outcome> {
    if (this.#type === "NS" || !isAddressLiteral(domain)) return DUNNO;
    const address = canonicalIp(domain.slice(1, -1).replace(/^ipv6:/i, "")) ?? "";
    return (await this.#checkAddress(address, subject, context)) ?? DUNNO;
  }

  /** Host names of the domain; undefined, with a warning, where they cannot be told. */
  async #hostsOf(domain: string, name: string, context: Context): Promise<readonly string[] | undefined> {
    if (this.#type === "A") return [domain];
    return this.#type === "MX" ? this.#mailHosts(domain, context) : this.#nameServers(domain, name, context);
  }

  /** A name without MX record is its own mail exchanger; so is one that does not exist, for servers that say so wrongly. */
  async #mailHosts(domain: string, context: Context): Promise<readonly string[] | undefined> {
    const answer = await this.#questions.mx(domain, context);
    if (isNullMx(answer)) return undefined;
    if (answer.kind === "found") {
      return answer.records.toSorted((a, b) => a.preference - b.preference).map(({ exchange }) => exchange);
    }
    if (answer.kind !== "temporary") return [domain];
    return this.#unknown(domain, answer.text);
  }

  /** Where a name has no NS record, those of the nearest parent that has some, top-level domains included. */
  async #nameServers(domain: string, name: string, context: Context): Promise<readonly string[] | undefined> {
    const labels = domain.replace(/\.$/, "").split(".");
    for (let i = 0; i < labels.length; i++) {
      const parent = labels.slice(i).join(".");
      const answer = await this.#questions.ns(parent, context);
      if (answer.kind === "found") return answer.records;
      if (answer.kind === "temporary") return this.#unknown(parent, answer.text);
      if (i === labels.length - 1) return this.#unknown(name, answer.text);
    }
    return undefined;
  }

  #unknown(domain: string, text: string): undefined {
    this.#services.log.warning(`Unable to look up ${this.#type} host for ${printableAscii(domain)}: ${text}`);
    return undefined;
  }

  async #checkHosts(hosts: readonly string[], subject: Subject, context: Context): Promise<Outcome> {
    const clock = this.#services.clock ?? systemClock;
    const endAt = clock.monotonic() + MAX_TIME_MS;
    const seen = { addresses: 0 };
    for (const host of hosts.slice(0, MAX_HOSTS)) {
      if (clock.monotonic() > endAt) return this.#tooSlow(subject);
      const found = await this.#checkHost(host, { subject, context, seen });
      if (found) return found;
      if (seen.addresses >= MAX_ADDRESSES) break;
    }
    return DUNNO;
  }

  #tooSlow(subject: Subject): Outcome {
    const what = `${this.#type} hosts for ${subject.replyClass} ${printableAscii(subject.name)}`;
    this.#services.log.warning(`Unable to look up ${what}: time limit exceeded`);
    return { kind: "refuse", cause: "data", reply: lookupFailure(subject) };
  }

  async #checkHost(host: string, search: HostSearch): Promise<Outcome | undefined> {
    const { subject, context } = search;
    if (parseAddress(host)) return this.#checkAddress(host, subject, context);
    if (this.#type !== "A") {
      const found = await this.#table.find(this.#table.keys.ofHost(host), subject, context);
      if (found) return found;
    }
    for (const address of await this.#addressesOf(host, search)) {
      const found = await this.#checkAddress(address, subject, context);
      if (found) return found;
    }
    return undefined;
  }

  async #addressesOf(host: string, { subject, context, seen }: HostSearch): Promise<readonly string[]> {
    const answer = await this.#questions.hosts(host, context);
    if (answer.kind !== "found") {
      const whose = `${subject.replyClass} ${printableAscii(subject.name)}`;
      if (this.#type !== "A") {
        this.#services.log.warning(
          `Unable to look up ${this.#type} host ${printableAscii(host)} for ${whose}: ${answer.text}`,
        );
      }
      return [];
    }
    const usable = answer.records.filter(({ family }) => this.#protocols.has(family));
    const counted = usable.slice(0, MAX_ADDRESSES - seen.addresses).map(({ address }) => address);
    seen.addresses += counted.length;
    return counted;
  }

  #checkAddress(
    address: string,
    subject: Subject,
    context: Context,
  ): Outcome | undefined | Promise<Outcome | undefined> {
    return this.#table.find(this.#table.keys.ofAddress(address), subject, context);
  }
}

interface HostSearch {
  readonly subject: Subject;
  readonly context: Context;
  readonly seen: { addresses: number };
}

/** The families of inet_protocols. */
function protocolsOf({ params }: Services): ReadonlySet<4 | 6> {
  const words = params.get("inet_protocols").map((word) => word.toLowerCase());
  const families = new Set<4 | 6>();
  if (words.includes("all") || words.includes("ipv4")) families.add(4);
  if (words.includes("all") || words.includes("ipv6")) families.add(6);
  return families;
}
