/** access/dns-words.test.ts: what the transcripts in testdata/ do not reach: limits of number and time, address patterns, macros,
 *  the session's cache, and the property that no DNS answer opens the relay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import type { Dns, DnsAnswer } from "../dns/resolver.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { Facts } from "./access.ts";
import { parseAddressPattern } from "./address-pattern.ts";
import { compileAccess } from "./compile.ts";
import { expandMacros, parseExpansionFilter, SESSION_MACROS, sessionMacros } from "./expand-macros.ts";
import { SessionCache } from "./session-cache.ts";
import { STRANGER } from "./testdata/stranger.ts";
import { WORDS } from "./words.ts";

/** A stranger whose name is verified. */
const NAMED: Facts = {
  ...STRANGER,
  client: { ...STRANGER.client, name: "a.test", reverseName: "a.test", nameStatus: "verified" },
};

const TEMPORARY = { kind: "temporary", text: "Host not found, try again" } as const;

function fakeDns(more: Partial<Dns>): Dns {
  const missing = async () => ({ kind: "notFound", text: "Host not found" }) as const;
  return { mx: missing, addresses: missing, reverse: missing, close: () => {}, ...more };
}

interface Setting {
  readonly dns?: Dns;
  readonly table?: (key: string) => string | undefined;
  readonly monotonic?: () => number;
  readonly lines?: string[];
}

/** A configuration whose only own domain is example.org. */
function compile(settings: Record<string, string>, { dns, table, monotonic, lines }: Setting) {
  return compileAccess(parametersOf({ compatibility_level: "3.6", ...settings }), {
    tables: { open: (ref) => ({ ref, partialKeys: true, get: (key) => table?.(key) }) },
    resolver: {
      rewrite: (address) => address,
      classOf: (address) => (address.endsWith("@example.org") ? "local" : "default"),
      route: () => assert.fail("restrictions never route"),
      unlistedIn: () => undefined,
      hasSenderRouting: () => false,
    },
    log: new Log({ sink: ({ text }) => lines?.push(text), now: () => 0, tag: "t", id: 1 }),
    mynetworks: { find: () => undefined },
    dns,
    clock: { ...systemClock, sleep: async () => {}, monotonic: monotonic ?? systemClock.monotonic },
  });
}

async function ask(list: string, setting: Setting, facts: Partial<Facts> = {}) {
  const { policy } = compile({ smtpd_relay_restrictions: list }, setting);
  const { decision } = await policy.newSession().atRcpt({ ...NAMED, ...facts });
  return "reply" in decision ? `${decision.reply.code} ${decision.reply.lines[0]}` : decision.kind;
}

const found = <T>(records: readonly T[]): DnsAnswer<T> => ({ kind: "found", records });

test("check_*_mx_access looks at 100 addresses and at 100 hosts", async () => {
  const asked: string[] = [];
  const table = (key: string) => {
    asked.push(key);
    return undefined;
  };
  const many = (n: number) => Array.from({ length: n }, (_, i) => i);
  const crowd = many(150).map((i) => ({ address: `192.0.2.${i}`, family: 4 as const }));
  const one = fakeDns({
    mx: async () => found([{ preference: 1, exchange: "m.test" }]),
    addresses: async () => found(crowd),
  });
  await ask("check_sender_mx_access t:x, reject", { dns: one, table });
  assert.equal(asked.filter((key) => /^192\.0\.2\.\d+$/.test(key)).length, 100);
  asked.length = 0;
  const hosts = many(150).map((i) => ({ preference: 1, exchange: `m${i}.test` }));
  await ask("check_sender_mx_access t:x, reject", { dns: fakeDns({ mx: async () => found(hosts) }), table });
  assert.equal(asked.filter((key) => /^m\d+\.test$/.test(key)).length, 100);
});

test("check_*_mx_access that takes too long defers", async () => {
  let now = 0;
  const hosts = [1, 2, 3].map((i) => ({ preference: i, exchange: `m${i}.test` }));
  const dns = fakeDns({
    mx: async () => found(hosts),
    addresses: async () => {
      now += 40_000;
      return TEMPORARY;
    },
  });
  const lines: string[] = [];
  const list = "check_sender_mx_access t:x, permit";
  assert.equal(await ask(list, { dns, lines, monotonic: () => now }), "451 <a@b.test>: Temporary lookup failure");
  assert.equal(lines.at(-1), "Unable to look up MX hosts for Sender address a@b.test: time limit exceeded");
});

test("a name service without NS, TXT and address records answers as if it failed for now", async () => {
  const setting = { dns: fakeDns({}) };
  assert.equal(
    await ask("reject_rbl_client l.test, reject", setting),
    "554 <x@far.test>: Recipient address rejected: Access denied",
  );
  assert.equal(
    await ask("reject_unknown_sender_domain, permit", setting),
    "450 <a@b.test>: Sender address rejected: Domain not found",
  );
  assert.equal(await ask("check_sender_ns_access t:x, permit", setting), "permit");
});

const PATTERNS = [
  { in: "127.0.0.2", yes: ["127.0.0.2"], no: ["127.0.0.3", "::1", "x"], why: "an address" },
  { in: "127.0.0.[2]", yes: ["127.0.0.2"], no: ["127.0.0.1"], why: "a sequence of one" },
  { in: "127.0.0.[1;3..7]", yes: ["127.0.0.1", "127.0.0.3", "127.0.0.7"], no: ["127.0.0.2", "127.0.0.8"], why: "both" },
  { in: "[127;10].[0..255].0.9", yes: ["10.77.0.9"], no: ["11.0.0.9", "10.0.1.9"], why: "any field" },
  { in: "[127.0.0.2]", yes: ["127.0.0.2"], no: [], why: "brackets around all" },
  { in: "127.0.0.002", yes: ["127.0.0.2"], no: [], why: "leading zeros are decimal" },
];

for (const c of PATTERNS) {
  test(`parseAddressPattern() ${c.why}: ${c.in}`, () => {
    const matches = parseAddressPattern(c.in);
    for (const address of c.yes) assert.ok(matches(address), address);
    for (const address of c.no) assert.ok(!matches(address), address);
  });
}

for (const bad of [
  "",
  "[]",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.",
  "1.2.3.x",
  "1.2.3.256",
  "1.2.3.[",
  "1.2.3.[]",
  "[1.2.3.4",
  "1.2.[3.4]",
]) {
  test(`parseAddressPattern() refuses "${bad}"`, () =>
    assert.throws(() => parseAddressPattern(bad), /RBL reply error/));
}

for (const bad of [
  "1.2.3.[2..1]",
  "1.2.3.[1..2..3]",
  "1.2.3.3[6..9]",
  "1.2.3.[1,2]",
  "1.2.3.[1;;2]",
  "1.2.3.[[1]]",
  "1.2.3.-1",
]) {
  test(`parseAddressPattern() refuses "${bad}"`, () =>
    assert.throws(() => parseAddressPattern(bad), /RBL reply error/));
}

test("parseAddressPattern() matches what its ranges hold, and throws nothing but ParameterError", () => {
  const octet = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(octet, octet, octet, (a, b, c) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      assert.equal(parseAddressPattern(`127.0.0.[${low}..${high}]`)(`127.0.0.${c}`), c >= low && c <= high);
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."0123.[];x".split("")), maxLength: 24 }), (text) => {
      try {
        parseAddressPattern(text);
      } catch (error) {
        assert.ok(error instanceof Error && error.name === "ParameterError");
      }
    }),
  );
});

test("parseExpansionFilter() reads C escapes", () => {
  assert.deepEqual([...parseExpansionFilter("\\t\\40a\\\\\\n\\101\\q")], ["\t", " ", "a", "\\", "\n", "A", "q"]);
});

test("expandMacros() neither expands values nor lets characters through that the filter does not name", () => {
  const filter = new Set("abc$ ");
  const macros = new Map([
    ["x", "$y a{b}"],
    ["y", "no"],
    ["empty", ""],
  ]);
  assert.equal(expandMacros("<$x> ${empty?full}${empty:none}$$", macros, filter), "<$_ a_b_> none$");
  assert.throws(() => expandMacros("$myhostname", macros, filter), /unknown macro name "myhostname"/);
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (value) => {
      const out = expandMacros("$x", new Map([["x", value]]), filter);
      assert.equal(out, [...value].map((c) => (filter.has(c) ? c : "_")).join(""));
    }),
  );
});

test("sessionMacros() knows every name it says it knows", () => {
  const macros = sessionMacros({
    facts: NAMED,
    serverName: "mail.example.org",
    now: new Date(2026, 10, 4, 9, 5, 0).getTime(),
  });
  assert.deepEqual([...macros.keys()].sort(), [...SESSION_MACROS].sort());
  assert.equal(macros.get("localtime"), "Nov 04 09:05:00");
  const none = sessionMacros({
    facts: { ...NAMED, sender: asAddress(""), recipient: undefined },
    serverName: "",
    now: 0,
  });
  assert.deepEqual(
    ["sender", "sender_name", "sender_domain", "recipient", "recipient_name"].map((name) => none.get(name)),
    ["<>", "<>", "", "", ""],
  );
});

test("SessionCache keeps at most 100 answers", async () => {
  const cache = new SessionCache();
  let asked = 0;
  const answer = async () => {
    asked++;
    return found<string>([]);
  };
  const get = (i: number) => cache.get(`A ${i}`, answer);
  for (let i = 0; i < 200; i++) await get(i);
  await get(199);
  assert.equal(asked, 200);
  await get(0);
  assert.equal(asked, 201, "the oldest are gone");
});

const ARGUMENTS = { none: "", table: " t:x", service: " inet:127.0.0.1:9", domain: " list.test", text: " 0" };

/** Every name has some records or fails, whatever is asked; the addresses are often our own. */
function anyDns(seed: readonly number[]): Dns {
  const pick = <T>(question: string, records: readonly T[]): DnsAnswer<T> => {
    const at = [...question].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 997, 7);
    const kind = (seed[at % seed.length] ?? 0) % 4;
    if (kind === 0) return TEMPORARY;
    return kind === 1 ? { kind: "noData", text: "no" } : found(records);
  };
  const mx = [
    { preference: 10, exchange: "other.test" },
    { preference: 20, exchange: "example.org" },
  ];
  return fakeDns({
    mx: async (domain) => pick(`MX ${domain}`, mx),
    addresses: async (host) => pick(`H ${host}`, [{ address: "192.0.2.1", family: 4 as const }]),
    ns: async (domain) => pick(`NS ${domain}`, ["ns.test"]),
    txt: async (name) => pick(`TXT ${name}`, ["OK"]),
    records: async (name, family) => pick(`${family} ${name}`, [family === 4 ? "127.0.0.2" : "::1"]),
  });
}

test("whatever DNS answers, no list of words beside a guarded relay list lets a stranger relay", async () => {
  const anyList = fc
    .array(
      fc.constantFrom(...WORDS).map((word) => `${word.names[0]}${ARGUMENTS[word.argument]}`),
      { maxLength: 5 },
    )
    .map((words) => words.join(", "));
  const seeds = fc.array(fc.nat(3), { minLength: 1, maxLength: 9 });
  await fc.assert(
    fc.asyncProperty(anyList, anyList, seeds, async (client, recipient, seed) => {
      const settings = { smtpd_client_restrictions: client, smtpd_recipient_restrictions: recipient };
      const relay = "permit_dnswl_client list.test, permit_rhswl_client list.test, reject_unauth_destination";
      const table = (key: string) => (key.length % 2 === 0 ? "OK" : undefined);
      const { policy } = compile({ ...settings, smtpd_relay_restrictions: relay }, { dns: anyDns(seed), table });
      const { decision } = await policy.newSession().atRcpt(NAMED);
      assert.ok(decision.kind === "reject" || decision.kind === "defer", decision.kind);
    }),
    { numRuns: 300 },
  );
});
