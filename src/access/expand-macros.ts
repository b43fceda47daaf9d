/** access/expand-macros.ts: `$name` in reply templates (default_rbl_reply): facts of the session only, never parameters, which
 *  would tell strangers about the system. Values are remote text: they are not expanded again, and characters outside
 *  smtpd_expansion_filter become `_`. */
import { ParameterError } from "../config/declare.ts";
import { expand } from "../config/expand.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import { formatClient } from "../mail/client.ts";
import type { Facts } from "./access.ts";

export interface MacroSource {
  readonly facts: Facts;
  readonly serverName: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export type Macros = ReadonlyMap<string, string>;

/** Expands a template. Throws ParameterError for bad syntax and for names that are no macro. */
export function expandMacros(template: string, macros: Macros, filter: ReadonlySet<string>): string {
  return expand(template, (name) => {
    const value = macros.get(name);
    if (value === undefined) throw new ParameterError(`unknown macro name "${name}" in expansion request`);
    return filtered(value, filter).replaceAll("$", "$$$$"); // expand() would expand it again
  });
}

function filtered(value: string, filter: ReadonlySet<string>): string {
  let out = "";
  for (const c of value) out += filter.has(c) ? c : "_";
  return out;
}

/** The characters of smtpd_expansion_filter, its C escapes read. */
export function parseExpansionFilter(text: string): ReadonlySet<string> {
  const plain = text.replace(/\\([0-7]{1,3}|[\s\S])/g, (_, escaped: string) => {
    if (/^[0-7]/.test(escaped)) return String.fromCharCode(Number.parseInt(escaped, 8) & 255);
    return ESCAPES.get(escaped) ?? escaped;
  });
  return new Set(plain);
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
]);

/** The names of sessionMacros(). */
export const SESSION_MACROS: readonly string[] = [
  "server_name",
  "client",
  "client_address",
  "client_name",
  "client_port",
  "reverse_client_name",
  "helo_name",
  ...["sender", "recipient"].flatMap((name) => [name, `${name}_name`, `${name}_domain`]),
  "localtime",
];

/** What every template may name (smtpd_expand). */
export function sessionMacros({ facts, serverName, now }: MacroSource): Map<string, string> {
  const { client } = facts;
  return new Map([
    ["server_name", serverName],
    ["client", formatClient(client)],
    ["client_address", client.address],
    ["client_name", client.name],
    ["client_port", String(client.port)],
    ["reverse_client_name", client.reverseName],
    ["helo_name", facts.helo ?? ""],
    ...addressMacros("sender", facts.sender),
    ...addressMacros("recipient", facts.recipient),
    ["localtime", localTime(new Date(now))],
  ]);
}

/** The null address is shown as `<>`, one that is not known yet as nothing. */
function addressMacros(name: string, address: Address | undefined): readonly (readonly [string, string])[] {
  const whole = address === "" ? "<>" : (address ?? "");
  const local = address === undefined || address === "" ? whole : localPartOf(address);
  return [
    [name, whole],
    [`${name}_name`, local],
    [`${name}_domain`, address === undefined ? "" : (domainOf(address) ?? "")],
  ];
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `Nov 04 09:05:00`. */
function localTime(date: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${MONTHS[date.getMonth()]} ${two(date.getDate())} ${time}`;
}
