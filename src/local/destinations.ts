/** local/destinations.ts: the right-hand side of an alias, or a line of an :include: or .forward file (aliases(5)): addresses,
 *  `\name`, `|command`, `/file`, `:include:/file`, with commas between them. Syntax only. */
import { type Address, asAddress } from "../mail/address.ts";
import { parseAddressList } from "../mail/header-address.ts";

export type Destination =
  | { readonly kind: "address"; readonly address: Address }
  /** `\name`: no alias and no .forward file of this name. */
  | { readonly kind: "mailbox"; readonly address: Address }
  | { readonly kind: "command"; readonly command: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "include"; readonly path: string }
  /** Nothing of these; as written. */
  | { readonly kind: "invalid"; readonly text: string };

const INCLUDE = /^:include:\s*/i;

/** In order. Never throws. */
export function parseDestinations(text: string): readonly Destination[] {
  return splitAtCommas(text).flatMap(parseOne);
}

/** All lines of a file; those that begin with `#` are comments. */
export function parseDestinationLines(text: string): readonly Destination[] {
  return text.split(/\r?\n/).flatMap((line) => (/^\s*#/.test(line) ? [] : parseDestinations(line)));
}

function parseOne(item: string): readonly Destination[] {
  const plain = unquoted(item) ?? item;
  if (plain.startsWith("|")) return [{ kind: "command", command: plain.slice(1).trim() }];
  if (plain.startsWith("/") || plain.startsWith("~/")) return [{ kind: "file", path: plain }];
  if (INCLUDE.test(plain)) {
    const path = plain.replace(INCLUDE, "");
    return [{ kind: "include", path: unquoted(path) ?? path }];
  }
  if (item.startsWith("\\")) {
    const addresses = parseAddressList(item.slice(1));
    if (addresses.length > 0) return addresses.map((address) => ({ kind: "mailbox", address }));
  }
  const addresses = parseAddressList(item).map((address): Destination => {
    // A backslash in front of a name in angle brackets.
    if (address.startsWith("\\")) return { kind: "mailbox", address: asAddress(address.slice(1)) };
    return /^@|@$/.test(address) ? { kind: "invalid", text: item } : { kind: "address", address };
  });
  return addresses.length > 0 ? addresses : [{ kind: "invalid", text: item }];
}

/** What stands between quotation marks that enclose the whole item. */
function unquoted(item: string): string | undefined {
  const inner = /^"((?:[^"\\]|\\.)*)"$/s.exec(item)?.[1];
  return inner?.replace(/\\(.)/gs, "$1");
}

/** Outside quotation marks, comments and angle brackets. Items are trimmed; empty ones are left out. */
function splitAtCommas(text: string): readonly string[] {
  const items: string[] = [];
  let start = 0;
  let end = 0;
  const cut = () => {
    const item = text.slice(start, end).trim();
    if (item !== "") items.push(item);
  };
  while (end < text.length) {
    const c = text[end];
    if (c === '"') end = endOf(text, end, '"');
    else if (c === "<") end = endOf(text, end, ">");
    else if (c === "(") end = endOf(text, end, ")");
    else if (c === "\\") end += 2;
    else if (c === ",") {
      cut();
      start = ++end;
    } else end++;
  }
  end = text.length;
  cut();
  return items;
}

/** Index behind the closing character, or the length. */
function endOf(text: string, start: number, close: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === close) return at + 1;
  }
  return text.length;
}
