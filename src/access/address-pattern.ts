/** access/address-pattern.ts: `127.0.0.[2;4..11]`, the filter behind the `=` of a DNS list: four fields, each a number or a
 *  `[…]` of numbers and ranges. Square brackets around the whole are allowed. IPv4 only: lists answer with A records. */
import { octetsOf, parseAddress } from "../base/cidr.ts";
import { ParameterError } from "../config/declare.ts";

/** True if an IPv4 address in text form fits. */
export type AddressPattern = (address: string) => boolean;

type Range = readonly [low: number, high: number];

/** Throws ParameterError with Postfix's words. */
export function parseAddressPattern(text: string): AddressPattern {
  const inner = withoutOuterBrackets(text);
  if (inner === "") throw new ParameterError("RBL reply error: empty address pattern");
  const fields = fieldsOf(inner);
  if (fields.length !== 4) throw bad(text, "need four fields of an IPv4 address");
  const ranges = fields.map((field) => rangesOf(field, text));
  return (address) => {
    const ip = parseAddress(address);
    if (ip?.family !== 4) return false;
    return octetsOf(ip).every((octet, i) => ranges[i]?.some(([low, high]) => octet >= low && octet <= high));
  };
}

/** `[1.2.3.4]` is 1.2.3.4, but `[1;2].0.0.[3;4]` keeps its brackets. */
function withoutOuterBrackets(text: string): string {
  if (!text.startsWith("[")) return text;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "[") depth++;
    if (text[i] !== "]" || --depth > 0) continue;
    return i === text.length - 1 ? text.slice(1, -1) : text;
  }
  throw new ParameterError('RBL reply error: missing "]" character');
}

/** Split at dots outside brackets. */
function fieldsOf(text: string): readonly string[] {
  const fields = [""];
  let inside = false;
  for (const c of text) {
    if (c === "[") inside = true;
    if (c === "]") inside = false;
    if (c === "." && !inside) fields.push("");
    else fields.push(`${fields.pop() ?? ""}${c}`);
  }
  return fields;
}

function rangesOf(field: string, text: string): readonly Range[] {
  const sequence = /^\[([^[\]]*)\]$/.exec(field)?.[1];
  if (sequence === undefined) {
    const octet = octetOf(field, text);
    return [[octet, octet]];
  }
  return sequence.split(";").map((member): Range => {
    const [low = "", high = low, ...more] = member.split("..");
    const range: Range = [octetOf(low, text), octetOf(high, text)];
    if (more.length > 0 || range[0] > range[1]) throw bad(text, "numeric range error");
    return range;
  });
}

function octetOf(digits: string, text: string): number {
  const octet = /^\d{1,9}$/.test(digits) ? Number(digits) : Number.NaN;
  if (octet >= 0 && octet <= 255) return octet;
  throw bad(text, "need decimal number 0..255");
}

function bad(text: string, why: string): ParameterError {
  return new ParameterError(`RBL reply error: ${why} at "${text}"`);
}
