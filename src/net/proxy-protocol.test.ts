/** Tests of the PROXY header: both versions, at any split, never a byte too many, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalIp } from "../base/cidr.ts";
import { type ProxyHeader, ProxyHeaderReader } from "./proxy-protocol.ts";

const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

/** Feeds the reader as a socket would, at most `step` bytes at a time; `used` is what it took. */
function read(bytes: Buffer, step = 1): { header: ProxyHeader | undefined; used: number } {
  const reader = new ProxyHeaderReader();
  for (let used = 0; used < bytes.length; ) {
    const size = Math.min(step, reader.wanted, bytes.length - used);
    const header = reader.push(bytes.subarray(used, used + size));
    used += size;
    if (header) return { header, used };
  }
  return { header: undefined, used: bytes.length };
}

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function v2(parts: { command?: number; family?: number; rest: Buffer; length?: number }): Buffer {
  const fixed = Buffer.from([parts.command ?? 0x21, parts.family ?? 0x11, 0, 0]);
  fixed.writeUInt16BE(parts.length ?? parts.rest.length, 2);
  return Buffer.concat([latin1(SIGNATURE), fixed, parts.rest]);
}

const TCP4 = Buffer.from([192, 0, 2, 7, 198, 51, 100, 1, 0xd4, 0x31, 0x02, 0x4b]);
const TCP6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.from("20010db80000000000000000000000aa", "hex"),
  Buffer.from([0xd4, 0x31, 0x02, 0x4b]),
]);
const MAPPED = Buffer.from(TCP6);
Buffer.from("00000000000000000000ffffc0000207", "hex").copy(MAPPED);

const proxied = (client: string, server: string) => `${client} 54321 ${server} 587`;
const good: readonly { in: Buffer; want: string; why: string }[] = [
  {
    in: latin1("PROXY TCP4 192.0.2.7 198.51.100.1 54321 587\r\n"),
    want: proxied("192.0.2.7", "198.51.100.1"),
    why: "v1 IPv4",
  },
  {
    in: latin1("PROXY TCP6 2001:DB8::7 2001:db8:0::aa 54321 587\r\n"),
    want: proxied("2001:db8::7", "2001:db8::aa"),
    why: "v1 IPv6, canonical",
  },
  {
    in: latin1("PROXY TCP6 ::ffff:192.0.2.7 ::FFFF:198.51.100.1 54321 587\r\n"),
    want: proxied("192.0.2.7", "198.51.100.1"),
    why: "v1 IPv4-mapped",
  },
  { in: v2({ rest: TCP4 }), want: proxied("192.0.2.7", "198.51.100.1"), why: "v2 IPv4" },
  { in: v2({ family: 0x21, rest: TCP6 }), want: proxied("2001:db8::7", "2001:db8::aa"), why: "v2 IPv6" },
  { in: v2({ family: 0x21, rest: MAPPED }), want: proxied("192.0.2.7", "2001:db8::aa"), why: "v2 IPv4-mapped" },
  {
    in: v2({ rest: Buffer.concat([TCP4, latin1("\x04\0\x03abc")]) }),
    want: proxied("192.0.2.7", "198.51.100.1"),
    why: "v2 with an extension",
  },
  { in: v2({ command: 0x20, family: 0, rest: Buffer.alloc(0) }), want: "local", why: "v2 LOCAL" },
  { in: v2({ command: 0x20, family: 0x11, rest: TCP4 }), want: "local", why: "v2 LOCAL: its addresses are not used" },
];

function show(header: ProxyHeader | undefined): string {
  if (header === undefined) return "more";
  if (header.kind === "bad") return `bad: ${header.text}`;
  if (header.kind === "local") return "local";
  const { client, server } = header;
  return `${client.address} ${client.port} ${server.address} ${server.port}`;
}

for (const c of good) {
  test(`ProxyHeaderReader ${c.why}`, () => {
    for (const step of [1, 7, 1000]) {
      const { header, used } = read(Buffer.concat([c.in, latin1("EHLO x\r\n")]), step);
      assert.equal(show(header), c.want);
      assert.equal(used, c.in.length, "what follows belongs to the session");
    }
    for (let cut = 0; cut < c.in.length; cut++) assert.equal(read(c.in.subarray(0, cut)).header, undefined);
  });
}

const wrong: readonly { in: Buffer; want: string; why: string }[] = [
  { in: latin1("EHLO x\r\n"), want: "bad or missing protocol header", why: "no header" },
  { in: latin1("\x16\x03\x01"), want: "bad or missing protocol header", why: "a TLS hello" },
  { in: latin1("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), want: "bad or missing protocol header", why: "case" },
  { in: latin1("PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n"), want: "bad or missing protocol header", why: "tab" },
  { in: latin1("PROXY UNKNOWN\r\n"), want: "bad or missing protocol type", why: "UNKNOWN would pass as the balancer" },
  { in: latin1("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"), want: "bad or missing protocol type", why: "type" },
  { in: latin1("PROXY TCP4\r\n"), want: "bad or missing client address", why: "nothing more" },
  { in: latin1("PROXY TCP4 1.2.3.4\r\n"), want: "bad or missing server address", why: "one address" },
  { in: latin1("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n"), want: "bad or missing client address", why: "octal" },
  { in: latin1("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), want: "bad or missing client address", why: "three parts" },
  { in: latin1("PROXY TCP4 ::1 ::1 1 2\r\n"), want: "bad or missing client address", why: "family" },
  { in: latin1("PROXY TCP6 1.2.3.4 ::1 1 2\r\n"), want: "bad or missing client address", why: "family" },
  { in: latin1("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), want: "bad or missing client address", why: "zone" },
  { in: latin1("PROXY TCP4 1.2.3.4 host 1 2\r\n"), want: "bad or missing server address", why: "a name" },
  { in: latin1("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n"), want: "bad or missing server address", why: "two blanks" },
  { in: latin1("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"), want: "bad or missing client port", why: "port" },
  { in: latin1("PROXY TCP4 1.2.3.4 5.6.7.8 0123 2\r\n"), want: "bad or missing client port", why: "leading zero" },
  { in: latin1("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), want: "bad or missing server port", why: "one port" },
  { in: latin1("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), want: "missing protocol header terminator", why: "more" },
  { in: latin1("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), want: "missing protocol header terminator", why: "bare LF" },
  { in: latin1(`PROXY TCP4 ${"1".repeat(200)}`), want: "missing protocol header terminator", why: "too long" },
  { in: latin1("\r\n\r\n\0\r\nQUIX"), want: "bad or missing protocol header", why: "signature" },
  { in: v2({ command: 0x11, rest: TCP4 }), want: "bad command in proxy header", why: "version 1 in binary" },
  { in: v2({ command: 0x22, rest: TCP4 }), want: "bad command in proxy header", why: "unassigned command" },
  { in: v2({ family: 0, rest: Buffer.alloc(0) }), want: "unsupported network protocol", why: "unspecified" },
  { in: v2({ family: 0x12, rest: TCP4 }), want: "unsupported network protocol", why: "datagrams" },
  { in: v2({ family: 0x31, rest: Buffer.alloc(216) }), want: "unsupported network protocol", why: "unix sockets" },
  { in: v2({ rest: TCP4.subarray(0, 11) }), want: "short address field", why: "addresses cut short" },
  { in: v2({ family: 0x21, rest: TCP4 }), want: "short address field", why: "IPv4 addresses as IPv6" },
  { in: v2({ rest: TCP4, length: 5000 }), want: "protocol header too long", why: "no bound" },
];

for (const c of wrong) {
  test(`ProxyHeaderReader refuses ${c.why}: ${JSON.stringify(c.in.toString("latin1", 0, 50))}`, () => {
    for (const step of [1, 1000]) assert.equal(show(read(c.in, step).header), `bad: ${c.want}`);
  });
}

test("ProxyHeaderReader never throws and never asks for more than its bound, whatever comes", () => {
  const prefix = fc.constantFrom("", "PROXY ", "PROXY TCP4 ", "PROXY TCP6 1", SIGNATURE, `${SIGNATURE}\x21\x11\0\x0c`);
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (begin, rest, step) => {
      const bytes = Buffer.concat([latin1(begin), rest]);
      const whole = read(bytes, 10_000);
      const split = read(bytes, step);
      assert.equal(show(split.header), show(whole.header));
      // What is wrong may be seen earlier or later.
      if (whole.header?.kind !== "bad") assert.deepEqual(split, whole);
      if (whole.header?.kind !== "proxied") return;
      for (const { address, port } of [whole.header.client, whole.header.server]) {
        assert.equal(canonicalIp(address), address);
        assert.ok(port >= 0 && port <= 65_535);
      }
    }),
    { numRuns: 500 },
  );
});

test("ProxyHeaderReader reads back any addresses and ports", () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), port, port, (a, b, p, q) => {
      const { header } = read(latin1(`PROXY TCP4 ${a} ${b} ${p} ${q}\r\n`));
      assert.deepEqual(header, { kind: "proxied", client: { address: a, port: p }, server: { address: b, port: q } });
    }),
  );
});
