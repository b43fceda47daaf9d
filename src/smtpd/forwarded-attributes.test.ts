/** Tests of the attributes of XCLIENT and XFORWARD: splitting, xtext, values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Attribute, readAddress, readName, readPort, readText, splitAttributes } from "./forwarded-attributes.ts";

function shown(read: ReturnType<typeof splitAttributes>): string {
  if ("refused" in read) return `${read.refused.code} ${read.refused.lines[0]}`;
  return read.value.map(({ name, value }) => `${name}:${value}`).join(" ");
}

const lines = [
  { in: "NAME=a.example addr=192.0.2.1", want: "NAME:a.example ADDR:192.0.2.1", why: "names in any case" },
  { in: "HELO=a+20b", want: "HELO:a b", why: "xtext" },
  { in: "HELO=a+3db+3D", want: "HELO:a=b=", why: "xtext in both cases" },
  { in: "LOGIN=user+mail", want: "LOGIN:user+mail", why: "no xtext stands for itself" },
  { in: "LOGIN=j+C3+BCrgen", want: "LOGIN:jürgen", why: "UTF-8" },
  { in: "LOGIN=j+FC", want: "LOGIN:jü", why: "other bytes as latin1" },
  { in: "LOGIN=a+00+0D+0A+7Fb", want: "LOGIN:a????b", why: "controls are masked" },
  { in: "LOGIN=a=b", want: "LOGIN:a=b", why: "the first = divides" },
  { in: "NAME", want: "501 Error: attribute=value expected", why: "no value" },
  { in: "NAME=", want: "501 Error: attribute=value expected", why: "empty value" },
  { in: "A=b C", want: "501 Error: attribute=value expected", why: "the whole command is refused" },
  { in: `HELO=${"x".repeat(255)}`, want: `HELO:${"x".repeat(255)}`, why: "longest value" },
  { in: `HELO=${"x".repeat(256)}`, want: "501 Error: attribute value too long", why: "too long" },
];
for (const c of lines) {
  test(`splitAttributes() ${c.why}: ${c.in.slice(0, 40)}`, () => assert.equal(shown(splitAttributes(c.in)), c.want));
}

test("splitAttributes() gives printable values whatever comes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
      const read = splitAttributes(`X=${text}`);
      if ("refused" in read) return;
      for (const { value } of read.value) assert.doesNotMatch(value, /[\x00-\x1f\x7f-\x9f]/);
    }),
  );
});

const BAD = "bad";
const values: readonly {
  read: (attribute: Attribute) => ReturnType<typeof readText> | ReturnType<typeof readPort>;
  in: string;
  want: string | number | null;
  why: string;
}[] = [
  { read: readName, in: "host.example.com", want: "host.example.com", why: "name" },
  { read: readName, in: "[unavailable]", want: null, why: "unavailable" },
  { read: readName, in: "a_b.example", want: "a_b.example", why: "underscore" },
  { read: readName, in: "-a.example", want: BAD, why: "hyphen in front" },
  { read: readName, in: "192.0.2.1", want: BAD, why: "a number is no name" },
  { read: readName, in: "a b", want: BAD, why: "blank" },
  { read: readAddress, in: "192.0.2.1", want: "192.0.2.1", why: "IPv4" },
  { read: readAddress, in: "IPV6:2001:DB8:0::1", want: "2001:db8::1", why: "IPv6, canonical" },
  { read: readAddress, in: "IPv6:::ffff:192.0.2.1", want: "192.0.2.1", why: "IPv4-mapped" },
  { read: readAddress, in: "2001:db8::1", want: BAD, why: "without prefix" },
  { read: readAddress, in: "IPv6:192.0.2.1", want: BAD, why: "IPv4 with prefix" },
  { read: readAddress, in: "192.0.2.010", want: BAD, why: "octal" },
  { read: readAddress, in: "192.0.2.0/24", want: BAD, why: "a network" },
  { read: readPort, in: "65535", want: 65_535, why: "port" },
  { read: readPort, in: "65536", want: BAD, why: "too large" },
  { read: readPort, in: "-1", want: BAD, why: "sign" },
  { read: readPort, in: "[UNAVAILABLE]", want: 0, why: "unavailable" },
  { read: readText, in: 'a(b)"<c>;\\@d', want: "a?b???c????d", why: "what would end a comment or an address" },
];
for (const c of values) {
  test(`${c.read.name}() ${c.why}: ${c.in}`, () => {
    const read = c.read({ name: "X", value: c.in });
    assert.equal("refused" in read ? BAD : read.value, c.want);
  });
}
