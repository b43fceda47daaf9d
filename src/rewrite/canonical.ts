/** rewrite/canonical.ts: an address in canonical form, as trivial-rewrite(8) makes it in local context: source routes cut,
 *  `a!b` and `a%b` swapped, missing domains completed. Pure; tables are not asked here. RFC 5321 appendix C, F.2. */
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";

export interface RewriteRules {
  readonly myorigin: string;
  readonly mydomain: string;
  readonly appendAtMyorigin: boolean;
  readonly appendDotMydomain: boolean;
  readonly swapBangpath: boolean;
  readonly percentHack: boolean;
}

/** The rules of a scope; with `remoteDomain` those of headers from elsewhere (remote_header_rewrite_domain). */
export function rewriteRules(params: Parameters, remoteDomain?: string): RewriteRules {
  return {
    myorigin: remoteDomain ?? params.text("myorigin"),
    mydomain: remoteDomain ?? params.text("mydomain"),
    appendAtMyorigin: params.get("append_at_myorigin"),
    appendDotMydomain: params.get("append_dot_mydomain"),
    swapBangpath: params.get("swap_bangpath"),
    percentHack: params.get("allow_percent_hack"),
  };
}

/** The null address stays null. Idempotent for a local part without routing at a domain. */
export function rewriteAddress(address: Address, rules: RewriteRules): Address {
  if (address === "" || isCanonical(address)) return address;
  const unrouted = stripSourceRoute(address);
  const swapped = unrouted.includes("@") ? unrouted : swapRouting(unrouted, rules);
  const local = localPartOf(asAddress(swapped));
  const domain = (domainOf(asAddress(swapped)) ?? "").replace(/\.$/, "");
  if (domain === "") return asAddress(rules.appendAtMyorigin ? `${local}@${rules.myorigin}` : local);
  return asAddress(`${local}@${completeDomain(domain, rules)}`);
}

/** True for the form that nearly all addresses have, `local@domain.name`, which no rule changes. Called for each restriction. */
function isCanonical(address: Address): boolean {
  const at = address.lastIndexOf("@");
  return at > 0 && !address.startsWith("@") && address.includes(".", at) && !address.endsWith(".");
}

/** `site!user` to `user@site`, else `user%site` to `user@site`, for text without "@"; unchanged otherwise. */
export function swapRouting(text: string, rules: Pick<RewriteRules, "swapBangpath" | "percentHack">): string {
  const bang = rules.swapBangpath ? text.indexOf("!") : -1;
  if (bang > 0) return `${text.slice(bang + 1)}@${text.slice(0, bang)}`;
  const percent = rules.percentHack ? text.lastIndexOf("%") : -1;
  return percent > 0 ? `${text.slice(0, percent)}@${text.slice(percent + 1)}` : text;
}

function completeDomain(domain: string, rules: RewriteRules): string {
  if (!rules.appendDotMydomain || domain.includes(".") || domain.startsWith("[")) return domain;
  return `${domain}.${rules.mydomain}`;
}

/** `@a,@b:user@c` is user@c: the route is ignored. */
function stripSourceRoute(address: string): string {
  const m = /^@[^:"\\ ]*:(.+)$/.exec(address);
  return m?.[1] ?? address;
}
