/** access/dns-list.ts: one DNS block or allow list as a restriction names it, `list.example` or `list.example=127.0.0.[2..11]`
 *  (RFC 5782), and the question whether it lists an address or a domain. What follows is the restriction's. */
import { octetsOf, parseAddress } from "../base/cidr.ts";
import { ParameterError } from "../config/declare.ts";
import { reverseName } from "../dns/create.ts";
import { printableAscii } from "../mail/printable.ts";
import { type AddressPattern, parseAddressPattern } from "./address-pattern.ts";
import { asciiDomain, DnsQuestions } from "./dns-questions.ts";
import { isHostname, withoutFinalDot } from "./hostname.ts";
import type { Context, Services } from "./restriction.ts";

export type Listing = { readonly kind: "listed"; readonly query: string } | { readonly kind: "absent" | "temporary" };

const ABSENT: Listing = { kind: "absent" };

/** The TXT records of a listing together, in characters. */
const MAX_REASON = 500;

export class DnsList {
  /** As written, with its filter: the key of rbl_reply_maps. */
  readonly argument: string;
  readonly domain: string;
  readonly #pattern: AddressPattern | undefined;
  readonly #questions: DnsQuestions;
  readonly #services: Services;

  /** Throws ParameterError for a bad filter and for what is no domain. */
  constructor(services: Services, argument: string) {
    const equals = argument.indexOf("=");
    this.argument = argument;
    this.domain = equals < 0 ? argument : argument.slice(0, equals);
    if (!isHostname(withoutFinalDot(this.domain))) throw new ParameterError(`bad DNS list domain "${argument}"`);
    this.#pattern = equals < 0 ? undefined : parseAddressPattern(argument.slice(equals + 1));
    this.#questions = new DnsQuestions(services.dns);
    this.#services = services;
  }

  /** By IPv4 address or IPv6 address, octets or nibbles reversed. */
  findAddress(address: string, context: Context): Promise<Listing> {
    const ip = parseAddress(address);
    if (!ip) return Promise.resolve(ABSENT);
    const reversed =
      ip.family === 4 ? [...octetsOf(ip)].reverse().join(".") : reverseName(ip).replace(/\.ip6\.arpa$/, "");
    return this.#find(`${reversed}.${this.domain}`, context);
  }

  /** By the domain of a host name or mail address. Literals and names that end in a number are never asked: lists refuse
   *  queries about addresses there. */
  findDomain(what: string, context: Context): Promise<Listing> {
    const domain = asciiDomain(what.slice(what.lastIndexOf("@") + 1));
    if (/(?:^|\.)\d+$/.test(domain) || !isHostname(domain)) return Promise.resolve(ABSENT);
    return this.#find(`${domain}.${this.domain}`, context);
  }

  /** The reason that the list gives, printable; "" if it gives none. */
  async reason(query: string, context: Context): Promise<string> {
    const answer = await this.#questions.listReason(query, context);
    return answer.kind === "found" ? printableAscii(joinReasons(answer.records)) : "";
  }

  async #find(query: string, context: Context): Promise<Listing> {
    const answer = await this.#questions.listed(query, context, (text) =>
      this.#services.log.warning(
        `${printableAscii(query)}: RBL lookup error: Host or domain name not found. ` +
          `Name service error for name=${printableAscii(query)} type=A: ${text}`,
      ),
    );
    if (answer.kind === "temporary") return { kind: "temporary" };
    if (answer.kind !== "found") return ABSENT;
    const pattern = this.#pattern;
    return !pattern || answer.records.some(pattern) ? { kind: "listed", query } : ABSENT;
  }
}

function joinReasons(records: readonly string[]): string {
  let joined = "";
  for (const record of records) {
    if (joined !== "" && joined.length + 3 >= MAX_REASON) break;
    joined = (joined === "" ? record : `${joined} / ${record}`).slice(0, MAX_REASON);
  }
  return joined;
}
