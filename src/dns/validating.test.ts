/** Tests of the resolver that asks for DNSSEC, against a scripted name server on loopback. That real signatures are told
 *  from forged ones is a real resolver's work: test/interop/outgoing-tls.interop.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "dns-packet";
import fc from "fast-check";
import { systemClock } from "../base/clock.ts";
import { createDns } from "./create.ts";
import type { ValidatingDns } from "./resolver.ts";
import { parseNameServer, stubServers } from "./servers.ts";
import { StubResolver } from "./stub.ts";
import { type Zone, ZoneServer } from "./testdata/zone-server.ts";
import { createValidatingDns } from "./validating.ts";

const a = (name: string, data: string): Answer => ({ type: "A", name, ttl: 60, data });
const alias = (name: string, data: string): Answer => ({ type: "CNAME", name, ttl: 60, data });
const mx = (name: string, exchange: string): Answer => ({
  type: "MX",
  name,
  ttl: 60,
  data: { preference: 10, exchange },
});
const DIGEST = Buffer.alloc(32, 7);
const tlsa = (name: string): Answer => ({
  type: "TLSA",
  name,
  ttl: 60,
  data: { usage: 3, selector: 1, matchingType: 1, certificate: DIGEST },
});

const ZONE: Zone = {
  "signed.test MX": { answers: [mx("Signed.Test", "MX.signed.test")], secure: true },
  "plain.test MX": { answers: [mx("plain.test", "mx.plain.test")] },
  "null.test MX": { answers: [mx("null.test", "")], secure: true },
  "mx.signed.test A": { answers: [a("mx.signed.test", "192.0.2.1")], secure: true },
  "half.test A": { answers: [a("half.test", "192.0.2.2")], secure: true },
  "half.test AAAA": { answers: [{ type: "AAAA", name: "half.test", ttl: 60, data: "2001:db8::1" }] },
  "www.signed.test A": {
    answers: [
      alias("www.signed.test", "a.signed.test"),
      alias("a.signed.test", "mx.signed.test"),
      a("mx.signed.test", "192.0.2.1"),
    ],
    secure: true,
  },
  "loop.test A": { answers: [alias("loop.test", "b.test"), alias("b.test", "loop.test")], secure: true },
  "stray.test A": { answers: [a("other.test", "192.0.2.9")], secure: true },
  "_25._tcp.mx.signed.test TLSA": { answers: [tlsa("_25._tcp.mx.signed.test")], secure: true },
  "_25._tcp.big.test TLSA": { answers: [tlsa("_25._tcp.big.test")], secure: true, truncated: true },
  "_25._tcp.bogus.test TLSA": { rcode: 2 },
  "_25._tcp.none.test TLSA": { rcode: 3, secure: true },
  "_25._tcp.empty.test TLSA": { secure: true },
  "www.signed.test CNAME": { answers: [alias("www.signed.test", "a.signed.test")], secure: true },
  "forged.test A": {
    answers: [a("forged.test", "192.0.2.3")],
    forged: (query) => ({
      ...query,
      type: "response",
      id: ((query.id ?? 0) + 1) & 0xffff,
      answers: [a("forged.test", "192.0.2.66")],
    }),
  },
  "question.test A": {
    answers: [a("question.test", "192.0.2.3")],
    forged: (query) => ({
      ...query,
      type: "response",
      questions: [{ name: "x.test", type: "A" }],
      answers: [a("x.test", "192.0.2.66")],
    }),
  },
  "garbage.test A": { answers: [a("garbage.test", "192.0.2.3")], forged: () => Buffer.from([1, 2, 3]) },
};

async function withDns(run: (dns: ValidatingDns, server: ZoneServer) => Promise<void>, trusted = true): Promise<void> {
  const server = await ZoneServer.start(ZONE);
  const plain = createDns({ clock: systemClock, hostsText: "192.0.2.7 local.test\n" });
  const stub = new StubResolver({
    servers: [{ address: "127.0.0.1", port: server.port, trusted }],
    clock: systemClock,
    timeoutMs: 5000,
  });
  try {
    await run(createValidatingDns({ stub, clock: systemClock, plain }), server);
  } finally {
    plain.close();
    await server.stop();
  }
}

const found = (records: readonly unknown[], secure: boolean, canonical: string) => ({
  kind: "found",
  records,
  secure,
  canonical,
});
const record = { usage: 3, selector: 1, matchingType: 1, association: DIGEST };

const CASES: readonly {
  readonly why: string;
  readonly ask: (dns: ValidatingDns) => Promise<unknown>;
  readonly want: unknown;
}[] = [
  {
    why: "signed exchangers",
    ask: (d) => d.mx("SIGNED.test."),
    want: found([{ preference: 10, exchange: "mx.signed.test" }], true, "signed.test"),
  },
  {
    why: "exchangers without signature",
    ask: (d) => d.mx("plain.test"),
    want: found([{ preference: 10, exchange: "mx.plain.test" }], false, "plain.test"),
  },
  {
    why: "a null MX",
    ask: (d) => d.mx("null.test"),
    want: found([{ preference: 10, exchange: "" }], true, "null.test"),
  },
  { why: "no such record", ask: async (d) => (await d.mx("mx.signed.test")).kind, want: "noData" },
  {
    why: "signed addresses of one family",
    ask: (d) => d.records("mx.signed.test", 4),
    want: found(["192.0.2.1"], true, "mx.signed.test"),
  },
  {
    why: "IPv6 addresses, not signed",
    ask: (d) => d.records("half.test", 6),
    want: found(["2001:db8::1"], false, "half.test"),
  },
  {
    why: "aliases",
    ask: (d) => d.records("www.signed.test", 4),
    want: found(["192.0.2.1"], true, "mx.signed.test"),
  },
  { why: "aliases in a circle", ask: async (d) => (await d.records("loop.test", 4)).kind, want: "noData" },
  {
    why: "records of another name do not count",
    ask: async (d) => (await d.records("stray.test", 4)).kind,
    want: "noData",
  },
  {
    why: "the alias itself",
    ask: (d) => d.alias("www.signed.test"),
    want: found(["a.signed.test"], true, "www.signed.test"),
  },
  { why: "TLSA", ask: (d) => d.tlsa("mx.signed.test", 25), want: found([record], true, "_25._tcp.mx.signed.test") },
  {
    why: "TLSA over TCP, byte by byte",
    ask: (d) => d.tlsa("big.test", 25),
    want: found([record], true, "_25._tcp.big.test"),
  },
  { why: "bogus is temporary", ask: async (d) => (await d.tlsa("bogus.test", 25)).kind, want: "temporary" },
  { why: "no such name", ask: async (d) => (await d.tlsa("none.test", 25)).kind, want: "notFound" },
  { why: "no such record", ask: async (d) => (await d.tlsa("empty.test", 25)).kind, want: "noData" },
  {
    why: "a wrong id is passed over",
    ask: (d) => d.records("forged.test", 4),
    want: found(["192.0.2.3"], false, "forged.test"),
  },
  {
    why: "a wrong question is passed over",
    ask: (d) => d.records("question.test", 4),
    want: found(["192.0.2.3"], false, "question.test"),
  },
  {
    why: "garbage is passed over",
    ask: (d) => d.records("garbage.test", 4),
    want: found(["192.0.2.3"], false, "garbage.test"),
  },
  {
    why: "the hosts file, without a word on security",
    ask: (d) => d.addresses("local.test"),
    want: { kind: "found", records: [{ address: "192.0.2.7", family: 4 }] },
  },
  { why: "a name that is none", ask: async (d) => (await d.mx("a..b")).kind, want: "invalid" },
];
for (const c of CASES) {
  test(`ValidatingDns ${c.why}`, () => withDns(async (dns) => assert.deepEqual(await c.ask(dns), c.want)));
}

test("ValidatingDns believes AD of trusted servers only", () =>
  withDns(async (dns) => {
    assert.deepEqual(await dns.tlsa("mx.signed.test", 25), found([record], false, "_25._tcp.mx.signed.test"));
  }, false));

test("StubResolver asks for signatures, with room for them", () =>
  withDns(async (dns, { queries, asked }) => {
    await dns.tlsa("big.test", 25);
    const [query] = queries;
    const option = query?.additionals?.[0];
    assert.ok(option?.type === "OPT" && option.flag_do && option.udpPayloadSize === 1232);
    assert.ok(((query?.flags ?? 0) & 0x20) !== 0, "AD, RFC 6840 §5.7");
    assert.deepEqual(asked, ["_25._tcp.big.test TLSA udp", "_25._tcp.big.test TLSA tcp"]);
  }));

test("StubResolver goes to the next server, and tries twice", async () => {
  const [good, silent] = [await ZoneServer.start(ZONE), await ZoneServer.start({ "plain.test MX": { silent: true } })];
  const at = ({ port }: ZoneServer) => ({ address: "127.0.0.1", port, trusted: false });
  const gone = await ZoneServer.start({});
  const closed = at(gone);
  await gone.stop();
  const options = { clock: systemClock, timeoutMs: 100 };
  const next = new StubResolver({ ...options, servers: [closed, at(silent), at(good)] });
  assert.equal((await next.ask("plain.test", "MX")).kind, "found");
  const alone = new StubResolver({ ...options, servers: [at(silent)] });
  assert.equal((await alone.ask("plain.test", "MX")).kind, "temporary");
  assert.equal(silent.asked.length, 3);
  await Promise.all([good.stop(), silent.stop()]);
});

const SERVERS = [
  { in: "192.0.2.1", want: { address: "192.0.2.1", port: 53 } },
  { in: "192.0.2.1:5353", want: { address: "192.0.2.1", port: 5353 } },
  { in: "2001:db8::1", want: { address: "2001:db8::1", port: 53 } },
  { in: "[2001:db8::1]:5353", want: { address: "2001:db8::1", port: 5353 } },
  { in: "[::1]", want: { address: "::1", port: 53 } },
  { in: "localhost", want: undefined },
  { in: "192.0.2.1:0", want: undefined },
  { in: "192.0.2.1:99999", want: undefined },
  { in: "", want: undefined },
];
for (const c of SERVERS) {
  test(`parseNameServer() ${c.in}`, () => assert.deepEqual(parseNameServer(c.in), c.want));
}

test("parseNameServer() never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseNameServer(text)));
});

test("stubServers() trusts this machine, and what the operator names", () => {
  const trust = (named: string[], system: string[]) => stubServers(named, system).map(({ trusted }) => trusted);
  assert.deepEqual(trust([], ["127.0.0.53", "::1", "192.0.2.1", "fe80::1"]), [true, true, false, false]);
  assert.deepEqual(trust(["192.0.2.1"], ["127.0.0.1"]), [true]);
});
