/** mail/header-address.ts: where the addresses stand in the value of an address header field (RFC 5322 §3.4), tolerantly: mailbox
 *  lists, groups, comments, quoted strings, folding, bytes beyond ASCII. Finds spans only, so a caller replaces what changes and
 *  keeps the rest to the byte. What is no address is passed over; nothing throws. Time is linear in the length. */
import { type Address, asAddress } from "./address.ts";

/** One address: `text.slice(start, end)` is its source, without angle brackets, perhaps with comments and folding inside. */
export interface AddressSpan {
  readonly start: number;
  readonly end: number;
  readonly address: Address;
}

type Kind = "word" | "quoted" | "literal" | "mark";

interface Token {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
  /** Without quotation marks and backslashes. */
  readonly value: string;
}

const BLANK = /[\s\x00]/;
const MARKS = "<>,;:@.";
const ENCODED_WORD = /^=\?.*\?=$/;

/** The addresses of a field value, in order; those that do not end within `tokenLimit` words and marks are left out. */
export function findAddresses(text: string, tokenLimit = Number.POSITIVE_INFINITY): readonly AddressSpan[] {
  const found: AddressSpan[] = [];
  const add = (span: AddressSpan | undefined) => span && found.push(span);
  let mailbox: Token[] = [];
  let bracketed = false;
  let inside: Token[] | undefined;
  let tokens = 0;
  for (const token of tokensOf(text)) {
    if (++tokens > tokenLimit) return found;
    const mark = token.kind === "mark" ? token.value : "";
    if (inside !== undefined) {
      if (mark !== ">") inside.push(token);
      else {
        add(spanOf(inside));
        inside = undefined;
      }
    } else if (mark === "<") {
      inside = [];
      bracketed = true;
    } else if (mark === "," || mark === ";" || mark === ":") {
      // In front of ":" stands the name of a group.
      if (!bracketed && mark !== ":") add(bareSpan(mailbox));
      mailbox = [];
      bracketed = false;
    } else mailbox.push(token);
  }
  if (!bracketed) add(bareSpan(mailbox));
  return found;
}

/** The addresses of a table's value (canonical(5), virtual(5)): commas or blanks stand between them. */
export function parseAddressList(text: string): readonly Address[] {
  if (text.includes("<")) return findAddresses(text).map(({ address }) => address);
  const groups: Token[][] = [[]];
  let end = 0;
  for (const token of tokensOf(text)) {
    const comma = token.kind === "mark" && (token.value === "," || token.value === ";");
    if (comma || token.start > end) groups.push([]);
    if (!comma) groups.at(-1)?.push(token);
    end = token.end;
  }
  return groups.flatMap((tokens) => spanOf(tokens)?.address ?? []);
}

/** Comments and blanks are left out. An open quotation mark or bracket takes the rest of the text with it. */
function* tokensOf(text: string): Generator<Token> {
  for (let at = 0; at < text.length; ) {
    const c = text.charAt(at);
    if (BLANK.test(c)) at++;
    else if (c === "(") at = endOfComment(text, at);
    else {
      const token = tokenAt(text, at, c);
      yield token;
      at = token.end;
    }
  }
}

function tokenAt(text: string, start: number, c: string): Token {
  if (MARKS.includes(c)) return { kind: "mark", start, end: start + 1, value: c };
  if (c === '"' || c === "[") {
    const end = endOfQuoted(text, start, c === '"' ? '"' : "]");
    const raw = text.slice(start, end);
    if (c === "[") return { kind: "literal", start, end, value: raw };
    const closed = end - start > 1 && raw.endsWith('"');
    const value = raw.slice(1, closed ? -1 : undefined).replace(/\r\n(?=[ \t])/g, "");
    return { kind: "quoted", start, end, value: value.replace(/\\(.)/gs, "$1") };
  }
  let end = start + 1;
  while (end < text.length && !isBoundary(text.charAt(end))) end++;
  return { kind: "word", start, end, value: text.slice(start, end) };
}

function isBoundary(c: string): boolean {
  return BLANK.test(c) || c === "(" || c === '"' || c === "[" || MARKS.includes(c);
}

/** Index behind the closing character, or the length. */
function endOfQuoted(text: string, start: number, close: string): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === close) return i + 1;
  }
  return text.length;
}

/** Comments nest (RFC 5322 §3.2.2). */
function endOfComment(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const c = text[i];
    if (c === "\\") i++;
    else if (c === "(") depth++;
    else if (c === ")" && --depth === 0) return i + 1;
  }
  return text.length;
}

/** A mailbox without angle brackets. An encoded word alone is a display name whose address is missing. */
function bareSpan(tokens: readonly Token[]): AddressSpan | undefined {
  const [first] = tokens;
  return tokens.length === 1 && first && ENCODED_WORD.test(first.value) ? undefined : spanOf(tokens);
}

/** The tokens as one address; undefined if they are none, as two words side by side. */
function spanOf(tokens: readonly Token[]): AddressSpan | undefined {
  const first = tokens[0];
  const last = tokens.at(-1);
  if (!first || !last) return undefined;
  const routed = first.value === "@" && first.kind === "mark";
  if (!routed && !isAddress(tokens)) return undefined;
  const address = tokens.map(({ value }) => value).join("");
  // Line ends and other controls in quotes would reach commands and headers.
  return /[\x00-\x1f\x7f]/.test(address)
    ? undefined
    : { start: first.start, end: last.end, address: asAddress(address) };
}

function isAddress(tokens: readonly Token[]): boolean {
  const at = tokens.findLastIndex(({ kind, value }) => kind === "mark" && value === "@");
  const local = at < 0 ? tokens : tokens.slice(0, at);
  const domain = at < 0 ? [] : tokens.slice(at + 1);
  return (
    local.some(({ kind }) => kind === "word" || kind === "quoted") &&
    !hasNeighbours(tokens) &&
    local.every(({ kind, value }) => (kind === "mark" ? value === "." || value === "@" : kind !== "literal")) &&
    domain.every(({ kind, value }) => (kind === "mark" ? value === "." : kind !== "quoted"))
  );
}

/** Two words without a dot or "@" between them: a phrase, not an address. */
function hasNeighbours(tokens: readonly Token[]): boolean {
  return tokens.some(({ kind }, i) => i > 0 && kind !== "mark" && tokens[i - 1]?.kind !== "mark");
}
