/** dns/create.test.ts: the name service against a DNS server of a few lines on loopback. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../base/cidr.ts";
import { systemClock } from "../base/clock.ts";
import { createDns, queryName, reverseName } from "./create.ts";
import { parseHostsFile } from "./hosts-file.ts";

const HOSTS =
  "127.0.0.1 localhost\n192.0.2.7\tMail.Example.Org mail # comment\n192.0.2.7 other\n2001:db8:0::7 mail\nbad line\n";

const TYPES = { A: 1, NS: 2, PTR: 12, MX: 15, TXT: 16, AAAA: 28 } as const;

/** Answers by "name type"; rcode 3 if the name is nowhere, 2 for "broken.test". */
const ZONE = new Map<string, readonly Buffer[]>([
  ["both.test 1", [Buffer.from([192, 0, 2, 1])]],
  ["both.test 28", [Buffer.from("20010db8000000000000000000000001", "hex")]],
  ["mx.test 15", [mxData(10, "B.mx.test"), mxData(5, "a.mx.test")]],
  ["null.test 15", [mxData(0, "")]],
  ["1.2.0.192.in-addr.arpa 12", [wireName("Client.Example.ORG")]],
  ["half.test 1", [Buffer.from([192, 0, 2, 3])]],
  ["ns.test 2", [wireName("NS1.Example.ORG"), wireName("ns2.example.org")]],
  ["txt.test 16", [txtData("two ", "strings"), txtData("other")]],
  ["mail 1", [Buffer.from([192, 0, 2, 4])]],
]);

let queries = 0;
const socket = createSocket("udp4");
let server = "";

before(async () => {
  socket.on("message", (query, peer) => socket.send(respond(query), peer.port, peer.address));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  server = `127.0.0.1:${socket.address().port}`;
});
after(() => socket.close());

function open() {
  return createDns({ clock: systemClock, hostsText: HOSTS, servers: [server], timeoutMs: 300 });
}

function wireName(name: string): Buffer {
  const labels = name.split(".").filter(Boolean);
  return Buffer.concat([...labels.flatMap((l) => [Buffer.from([l.length]), Buffer.from(l)]), Buffer.from([0])]);
}

function txtData(...strings: readonly string[]): Buffer {
  return Buffer.concat(strings.map((text) => Buffer.from(`${String.fromCharCode(text.length)}${text}`, "latin1")));
}

function mxData(preference: number, exchange: string): Buffer {
  return Buffer.concat([Buffer.from([0, preference]), wireName(exchange)]);
}

function respond(query: Buffer): Buffer {
  queries++;
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString("latin1"));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const name = labels.join(".").toLowerCase();
  const answers = ZONE.get(`${name} ${type}`) ?? [];
  const known = [...ZONE.keys()].some((key) => key.startsWith(`${name} `));
  const broken = name === "broken.test" || (name === "half.test" && type === TYPES.AAAA);
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | (broken ? 2 : known ? 0 : 3), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  const records = answers.map((rdata) => {
    const fixed = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 30, 0, rdata.length]);
    return Buffer.concat([fixed, rdata]);
  });
  return Buffer.concat([head, query.subarray(12, at + 5), ...records]);
}

const ADDRESSES = [
  { host: "both.test", want: ["2001:db8::1", "192.0.2.1"], why: "both families" },
  { host: "BOTH.test.", want: ["2001:db8::1", "192.0.2.1"], why: "case and final dot do not matter" },
  { host: "mail", want: ["192.0.2.7", "2001:db8::7"], why: "hosts file first" },
  { host: "localhost", want: ["127.0.0.1"], why: "hosts file has it" },
  { host: "192.0.2.9", want: ["192.0.2.9"], why: "bare address" },
  { host: "[192.0.2.9]", want: ["192.0.2.9"], why: "literal" },
  { host: "[IPv6:2001:DB8::9]", want: ["2001:db8::9"], why: "IPv6 literal" },
  { host: "mx.test", want: "noData", why: "name without address" },
  { host: "nowhere.test", want: "notFound", why: "no such name" },
  { host: "broken.test", want: "temporary", why: "SERVFAIL" },
  { host: "half.test", want: ["192.0.2.3"], why: "one family answers, the other fails" },
  { host: "a..b", want: "invalid", why: "empty label" },
  { host: "", want: "invalid", why: "empty name" },
];

for (const c of ADDRESSES) {
  test(`addresses() ${c.why}: ${c.host}`, async () => {
    const dns = open();
    const answer = await dns.addresses(c.host);
    assert.deepEqual(answer.kind === "found" ? answer.records.map((r) => r.address) : answer.kind, c.want);
    dns.close();
  });
}

test("mx() gives lower-case exchanges, and the empty one of a null MX", async () => {
  const dns = open();
  const answer = await dns.mx("mx.test");
  assert.ok(answer.kind === "found");
  assert.deepEqual(
    answer.records.toSorted((a, b) => a.preference - b.preference),
    [
      { preference: 5, exchange: "a.mx.test" },
      { preference: 10, exchange: "b.mx.test" },
    ],
  );
  assert.deepEqual(await dns.mx("null.test"), { kind: "found", records: [{ preference: 0, exchange: "" }] });
  assert.deepEqual(await dns.mx("nowhere.test"), { kind: "notFound", text: "Host not found" });
  assert.deepEqual(await dns.mx("broken.test"), { kind: "temporary", text: "Host not found, try again" });
  assert.equal((await dns.mx("192.0.2.1")).kind, "invalid");
});

test("reverse() asks the hosts file, then DNS", async () => {
  const dns = open();
  assert.deepEqual(await dns.reverse("192.0.2.7"), { kind: "found", records: ["mail.example.org"] });
  assert.deepEqual(await dns.reverse("192.0.2.1"), { kind: "found", records: ["client.example.org"] });
  assert.equal((await dns.reverse("192.0.2.2")).kind, "notFound");
  assert.equal((await dns.reverse("x")).kind, "invalid");
});

test("ns(), txt() and records() answer from DNS alone", async () => {
  const dns = open();
  const found = (...records: readonly string[]) => ({ kind: "found", records });
  assert.deepEqual(await dns.ns?.("NS.test."), found("ns1.example.org", "ns2.example.org"));
  assert.deepEqual(await dns.txt?.("txt.test"), found("two strings", "other"));
  assert.deepEqual(await dns.records?.("both.test", 4), found("192.0.2.1"));
  assert.deepEqual(await dns.records?.("both.test", 6), found("2001:db8::1"));
  assert.deepEqual(await dns.records?.("mail", 4), found("192.0.2.4"), "not from the hosts file");
  assert.equal((await dns.records?.("mail", 6))?.kind, "noData");
  assert.equal((await dns.records?.("192.0.2.1", 4))?.kind, "invalid");
  assert.equal((await dns.txt?.("nowhere.test"))?.kind, "notFound");
  assert.equal((await dns.ns?.("broken.test"))?.kind, "temporary");
  const before = queries;
  await Promise.all([dns.ns?.("ns.test"), dns.records?.("BOTH.test", 4)]);
  assert.equal(queries, before, "kept, each type by itself");
  dns.close();
});

test("equal questions share one query and its answer", async () => {
  const dns = open();
  const before = queries;
  await Promise.all([dns.mx("mx.test"), dns.mx("MX.test"), dns.mx("mx.test.")]);
  await dns.mx("mx.test");
  assert.equal(queries - before, 1);
});

test("answers expire with their TTL, temporary failures at once", async () => {
  let now = 0;
  const clock = { ...systemClock, monotonic: () => now };
  const dns = createDns({ clock, hostsText: "", servers: [server], timeoutMs: 300 });
  const count = async (ask: () => Promise<unknown>) => {
    const start = queries;
    await ask();
    return queries - start;
  };
  assert.equal(await count(() => dns.addresses("both.test")), 2);
  now = 29_000;
  assert.equal(await count(() => dns.addresses("both.test")), 0);
  now = 31_000;
  assert.equal(await count(() => dns.addresses("both.test")), 2, "TTL 30");
  assert.equal(await count(() => dns.mx("broken.test")), await count(() => dns.mx("broken.test")), "asked again");
});

test("a silent server is a temporary failure", async () => {
  const silent = createSocket("udp4").bind(0, "127.0.0.1");
  await once(silent, "listening");
  const port = silent.address().port;
  const dns = createDns({ clock: systemClock, hostsText: "", servers: [`127.0.0.1:${port}`], timeoutMs: 50 });
  const answer = dns.mx("mx.test");
  const stop = systemClock.after(200, () => dns.close());
  assert.equal((await answer).kind, "temporary");
  stop.cancel();
  silent.close();
});

test("reverseName() of both families", () => {
  const name = (text: string) => reverseName(parseAddress(text) ?? assert.fail(text));
  assert.equal(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
  assert.equal(name("2001:db8::1"), `1.${"0.".repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`);
});

test("parseHostsFile() knows localhost even from an empty file", () => {
  assert.deepEqual(
    parseHostsFile("")
      .byName.get("localhost")
      ?.map((h) => h.address),
    ["::1", "127.0.0.1"],
  );
});

test("queryName() gives plain ASCII names only", () => {
  assert.equal(queryName("Bücher.example"), "xn--bcher-kva.example");
  assert.equal(queryName("127。0。0。1"), undefined, "an address in disguise");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 80 }), (text) => {
      const name = queryName(text);
      assert.ok(name === undefined || (/^[a-z0-9._-]+$/.test(name) && !parseAddress(name)));
    }),
  );
});
