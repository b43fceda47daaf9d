/** smtp/dns-faults.test.ts: what becomes of mail when DNS answers strangely: the real resolver against a name server on
 *  loopback (RFC 5321 §5.1, RFC 7505, RFC 2181 §10.3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Answer } from "dns-packet";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { createDns } from "../dns/create.ts";
import { type Zone, ZoneServer } from "../dns/testdata/zone-server.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "../tables/open.ts";
import { findHosts } from "./hosts.ts";
import { parseNextHops } from "./nexthop.ts";
import { settingsOf } from "./settings.ts";

const HOSTS_FILE = "192.0.2.200 files.test\n192.0.2.201 both.test\n";

const mx = (name: string, ...exchanges: readonly (readonly [number, string])[]): Answer[] =>
  exchanges.map(([preference, exchange]) => ({ type: "MX", name, ttl: 60, data: { preference, exchange } }));
const a = (name: string, ...addresses: readonly string[]): Answer[] =>
  addresses.map((data) => ({ type: data.includes(":") ? "AAAA" : "A", name, ttl: 60, data }));
const cname = (name: string, data: string): Answer => ({ type: "CNAME", name, ttl: 60, data });
const host = (name: string, ...addresses: readonly string[]): Zone => ({
  [`${name} A`]: { answers: a(name, ...addresses.filter((address) => !address.includes(":"))) },
  [`${name} AAAA`]: { answers: a(name, ...addresses.filter((address) => address.includes(":"))) },
});
const absent = (name: string): Zone => ({ [`${name} A`]: { rcode: 3 }, [`${name} AAAA`]: { rcode: 3 } });
const thousand = Array.from({ length: 1000 }, (_, i) => [i, `m${i}.many.test`] as const);

const ZONE: Zone = {
  ...host("a.test", "192.0.2.1"),
  ...host("b.test", "192.0.2.2"),
  ...host("six.test", "2001:db8::6"),
  ...host("both.test", "192.0.2.3", "2001:db8::3"),
  ...host("much.test", ...[1, 2, 3, 4, 5, 6].map((n) => `2001:db8:1::${n}`), "192.0.2.50"),
  ...host("me.test", "192.0.2.99"),
  ...host("nothing.test"),
  ...absent("gone.test"),
  "gone.test MX": { rcode: 3 },
  "a.test MX": {},
  "nothing.test MX": {},
  "broken.test MX": { rcode: 2 },
  ...host("broken.test", "192.0.2.4"),
  "silent.test MX": { silent: true },
  "mute.test A": { rcode: 2 },
  "mute.test AAAA": { rcode: 2 },
  "half.test A": { answers: a("half.test", "192.0.2.5") },
  "half.test AAAA": { rcode: 2 },
  "two.test MX": { answers: mx("two.test", [20, "B.test"], [10, "a.test"]) },
  "null.test MX": { answers: mx("null.test", [0, "."]) },
  "odd-null.test MX": { answers: mx("odd-null.test", [0, "."], [10, "a.test"]) },
  "literal.test MX": { answers: mx("literal.test", [10, "192.0.2.7"]) },
  "dead.test MX": { answers: mx("dead.test", [10, "gone.test"]) },
  "half-dead.test MX": { answers: mx("half-dead.test", [10, "gone.test"], [20, "a.test"]) },
  "mute-mx.test MX": { answers: mx("mute-mx.test", [10, "gone.test"], [20, "mute.test"]) },
  "alias.test MX": { answers: [cname("alias.test", "two.test"), ...mx("two.test", [10, "a.test"])] },
  "mx-alias.test MX": { answers: mx("mx-alias.test", [10, "www.test"]) },
  "www.test A": { answers: [cname("www.test", "a.test"), ...a("a.test", "192.0.2.1")] },
  "www.test AAAA": { answers: [cname("www.test", "a.test")] },
  "loop.test MX": { answers: [cname("loop.test", "pool.test"), cname("pool.test", "loop.test")] },
  "loop.test A": { answers: [cname("loop.test", "pool.test"), cname("pool.test", "loop.test")] },
  "loop.test AAAA": { answers: [cname("loop.test", "pool.test"), cname("pool.test", "loop.test")] },
  "self.test MX": { answers: mx("self.test", [10, "me.test"], [20, "a.test"]) },
  "backup.test MX": { answers: mx("backup.test", [10, "a.test"], [20, "me.test"], [20, "both.test"], [30, "b.test"]) },
  "orphan.test MX": { answers: mx("orphan.test", [10, "mute.test"], [20, "me.test"]) },
  "big.test MX": { answers: mx("big.test", [10, "a.test"]), truncated: true },
  "many.test MX": { answers: mx("many.test", ...thousand), truncated: true },
  ...Object.assign({}, ...thousand.map(([i, name]) => host(name, `198.51.100.${i % 250}`))),
  "garbage.test MX": { forged: () => Buffer.from("not a name server"), silent: true },
};

interface Row {
  readonly in: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly want: string;
  readonly why: string;
}

const nameError = (name: string, type: string, text: string) =>
  `Host or domain name not found. Name service error for name=${name} type=${type}: ${text}`;
const AGAIN = "Host not found, try again";

const ROWS: readonly Row[] = [
  { in: "two.test", want: "192.0.2.1 192.0.2.2", why: "by preference; exchangers in any case" },
  { in: "a.test", want: "192.0.2.1", why: "no MX: the domain's own address, RFC 5321 §5.1" },
  { in: "gone.test", want: `5.4.4 ${nameError("gone.test", "AAAA", "Host not found")}`, why: "no such domain" },
  {
    in: "nothing.test",
    want: `5.4.4 ${nameError("nothing.test", "AAAA", "Host found but no data record of requested type")}`,
    why: "a domain without MX and address",
  },
  { in: "broken.test", want: `4.4.3 ${nameError("broken.test", "MX", AGAIN)}`, why: "SERVFAIL for MX: no guess" },
  {
    in: "broken.test",
    set: { ignore_mx_lookup_error: "yes" },
    want: "192.0.2.4",
    why: "ignore_mx_lookup_error: the address all the same",
  },
  { in: "silent.test", want: `4.4.3 ${nameError("silent.test", "MX", AGAIN)}`, why: "no answer at all" },
  { in: "garbage.test", want: `4.4.3 ${nameError("garbage.test", "MX", AGAIN)}`, why: "an answer that is none" },
  { in: "[mute.test]", want: `4.4.3 ${nameError("mute.test", "AAAA", AGAIN)}`, why: "SERVFAIL for both families" },
  { in: "[half.test]", want: "192.0.2.5", why: "SERVFAIL for one family: the other one" },
  { in: "null.test", want: "5.1.0 Domain null.test does not accept mail (nullMX)", why: "RFC 7505" },
  { in: "odd-null.test", want: "192.0.2.1", why: "a null MX among others is ignored" },
  {
    in: "literal.test",
    want: "192.0.2.7",
    why: "an exchanger that is an address: RFC 5321 forbids it, Postfix takes it",
  },
  {
    in: "dead.test",
    want: `5.4.4 ${nameError("gone.test", "AAAA", "Host not found")}`,
    why: "MX without address: never the domain's own",
  },
  {
    in: "dead.test",
    set: { smtp_defer_if_no_mx_address_found: "yes" },
    want: `4.4.4 ${nameError("gone.test", "AAAA", "Host not found")}`,
    why: "smtp_defer_if_no_mx_address_found",
  },
  { in: "half-dead.test", want: "192.0.2.1", why: "one exchanger is dead, the other is not" },
  { in: "mute-mx.test", want: `4.4.3 ${nameError("mute.test", "AAAA", AGAIN)}`, why: "one dead, one unknown: wait" },
  { in: "alias.test", want: "192.0.2.1", why: "a domain that is an alias, RFC 5321 §5.1" },
  {
    in: "mx-alias.test",
    want: "192.0.2.1",
    why: "an exchanger that is an alias: RFC 2181 §10.3 forbids it, all take it",
  },
  { in: "loop.test", want: "no target", why: "aliases in a circle" },
  { in: "self.test", want: "5.4.6 mail for self.test loops back to myself", why: "we are the best exchanger" },
  { in: "backup.test", want: "192.0.2.1", why: "we are one of the second ones: only better ones, RFC 5321 §5.1" },
  {
    in: "orphan.test",
    want: "4.4.4 unable to find primary relay for orphan.test",
    why: "the better one has no address now",
  },
  { in: "[me.test]", want: "5.4.6 mail for me.test loops back to myself", why: "a host that is ourselves" },
  { in: "[me.test]:2525", want: "192.0.2.99", why: "another port is a filter" },
  { in: "big.test", want: "192.0.2.1", why: "an answer that needs TCP" },
  {
    in: "many.test",
    want: "198.51.100.0 198.51.100.1 198.51.100.2 198.51.100.3 198.51.100.4",
    why: "a thousand exchangers: the first five addresses",
  },
  { in: "[both.test]", set: { smtp_address_preference: "ipv6" }, want: "2001:db8::3 192.0.2.3", why: "IPv6 first" },
  { in: "[both.test]", set: { smtp_address_preference: "ipv4" }, want: "192.0.2.3 2001:db8::3", why: "IPv4 first" },
  { in: "[both.test]", set: { inet_protocols: "ipv4" }, want: "192.0.2.3", why: "IPv4 only" },
  {
    in: "[six.test]",
    set: { inet_protocols: "ipv4" },
    want: `5.4.4 ${nameError("six.test", "A", "Host found but no data record of requested type")}`,
    why: "no address of the family that is on",
  },
  {
    in: "[2001:db8::9]",
    set: { inet_protocols: "ipv4" },
    want: "5.4.4 unable to look up host 2001:db8::9: Host found but no data record of requested type",
    why: "a literal address of the family that is off",
  },
  {
    in: "[much.test]",
    want: "2001:db8:1::1 2001:db8:1::2 2001:db8:1::3 2001:db8:1::4 192.0.2.50",
    why: "smtp_balance_inet_protocols: the only IPv4 address is among the first five",
  },
  {
    in: "[much.test]",
    set: { smtp_balance_inet_protocols: "no" },
    want: "2001:db8:1::1 2001:db8:1::2 2001:db8:1::3 2001:db8:1::4 2001:db8:1::5",
    why: "without balance",
  },
  { in: "[much.test]", set: { smtp_mx_address_limit: "1" }, want: "2001:db8:1::1", why: "a limit of one" },
  {
    in: "[both.test]",
    set: { smtp_address_preference: "ipv4", smtp_host_lookup: "native" },
    want: "192.0.2.201",
    why: "the hosts file only",
  },
  { in: "[files.test]", want: `no target`, why: "dns: not from the hosts file" },
  {
    in: "[files.test]",
    set: { smtp_host_lookup: "dns, native" },
    want: "192.0.2.200",
    why: "not in DNS: the hosts file",
  },
  {
    in: "[both.test]",
    set: { smtp_host_lookup: "native, dns", smtp_address_preference: "ipv4" },
    want: "192.0.2.3 2001:db8::3",
    why: "DNS comes first in any order",
  },
  {
    in: "broken.test",
    set: { smtp_dns_support_level: "disabled" },
    want: "192.0.2.4",
    why: "smtp_dns_support_level = disabled: nobody asks for mail exchangers",
  },
  {
    in: "files.test",
    set: { disable_dns_lookups: "yes" },
    want: "192.0.2.200",
    why: "the old spelling: the hosts file",
  },
  {
    in: "files.test",
    set: { disable_dns_lookups: "yes", smtp_dns_support_level: "enabled" },
    want: "no target",
    why: "smtp_dns_support_level decides, if it is set",
  },
  { in: "[localhost]", set: { inet_protocols: "ipv4" }, want: "127.0.0.1", why: "localhost needs no DNS, RFC 6761" },
  { in: "no name", want: "5.4.4 Name service error for no name: invalid host or domain name", why: "no name at all" },
  {
    in: "two.test",
    set: { smtp_dns_reply_filter: "regexp:{{/^two.test. 0 IN MX 10 a.test.$$/ ignore}}" },
    want: "192.0.2.2",
    why: "smtp_dns_reply_filter drops an exchanger",
  },
  {
    in: "[both.test]",
    set: { smtp_dns_reply_filter: "regexp:{{/ IN AAAA / IGNORE}}" },
    want: "192.0.2.3",
    why: "smtp_dns_reply_filter drops a family",
  },
  {
    in: "[a.test]",
    set: { smtp_dns_reply_filter: "static:IGNORE" },
    want: "4.7.0 Error looking up name=a.test type=A: DNS reply filter drops all results",
    why: "a filter that leaves nothing: wait",
  },
  {
    in: "[a.test]",
    set: { smtp_dns_reply_filter: "static:NONSENSE" },
    want: "4.7.0 Error looking up name=a.test type=A: Invalid DNS reply filter syntax",
    why: "a filter with an unknown action: wait",
  },
];

const log = new Log({ sink: () => {}, now: () => 0, tag: "postfix/smtp", id: 1 });
const noFiles = {
  read: (path: string) => {
    throw new Error(path);
  },
};

test("findHosts() over DNS", { concurrency: 16 }, async (t) => {
  const server = await ZoneServer.start(ZONE);
  const servers = [`127.0.0.1:${server.port}`];
  const dns = createDns({ clock: systemClock, hostsText: HOSTS_FILE, servers, timeoutMs: 200 });
  await Promise.all(
    ROWS.map((row) =>
      t.test(`${row.why}: ${row.in}`, async () => {
        assert.match(await shown(row), row.want === "no target" ? /^[45]\.4\.[34] / : /./);
        if (row.want !== "no target") assert.equal(await shown(row), row.want);
      }),
    ),
  );
  dns.close();
  await server.stop();

  async function shown({ in: nexthop, set = {} }: Row): Promise<string> {
    const settings = settingsOf(parametersOf({ smtp_randomize_addresses: "no", ...set }), "smtp");
    const [hop = assert.fail()] =
      nexthop === "no name"
        ? [{ kind: "domain" as const, name: nexthop, port: undefined }]
        : parseNextHops(nexthop, "smtp");
    const found = await findHosts(hop, nexthop, {
      ...{ dns, settings, log, random: () => 0.5 },
      tables: createTableOpener({ files: noFiles, log, configDirectory: "/nowhere" }),
      myAddresses: new Set(["192.0.2.99"]),
    });
    if ("failure" in found) return `${found.failure.dsn} ${found.failure.text}`;
    return found.targets.map(({ address }) => address).join(" ");
  }
});
