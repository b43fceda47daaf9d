/** access/units.test.ts: tables for the pure parts of access/ (actions, replies, names, keys), and properties of the whole:
 *  what no list of words may ever let through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { formatReply } from "../mail/reply.ts";
import { parseAction } from "./action.ts";
import { compileAccess } from "./compile.ts";
import { isAddressLiteral, isFullyQualified, isHostname } from "./hostname.ts";
import { LookupKeys } from "./lookup-keys.ts";
import { rejected, repairDsn } from "./reply-text.ts";
import { STRANGER } from "./testdata/stranger.ts";
import { WORDS } from "./words.ts";

const text = (value: string) => JSON.stringify(parseAction(value));

for (const c of [
  { in: "550", want: "permit", why: "all digits permit, even those of a reply code" },
  { in: "OK because", want: "permit", why: "text behind OK is ignored" },
  { in: "relay", want: "permit", why: "keywords in any case" },
  { in: "dunno", want: "dunno", why: "plain" },
  { in: "", want: "empty", why: "no value" },
  { in: "550 no", want: "code", why: "code and text" },
  { in: "550-no", want: "list", why: "not a code" },
  { in: "650 no", want: "list", why: "only 4xx and 5xx are codes" },
  { in: ", ,", want: "empty", why: "separators only" },
  { in: "HANGUP 5.1.1 x", want: "hangup", why: "the text is logged as it is" },
  { in: "550\tno", want: "code", why: "a tab ends the code" },
  { in: "REJECT: no", want: "tableInside", why: "keyword ends at the blank" },
  { in: "REJECT see https://x.test", want: "reject", why: "a colon in the text" },
  { in: "hash:/x", want: "tableInside", why: "tables in tables" },
  { in: "reject_unauth_destination, permit", want: "list", why: "a restriction list" },
]) {
  test(`parseAction() ${c.why}: ${JSON.stringify(c.in)}`, () => assert.equal(parseAction(c.in).kind, c.want));
}

test("parseAction() takes an enhanced status off the text, and only a well-formed one", () => {
  assert.equal(text("550 5.1.1 gone"), '{"kind":"code","code":550,"dsn":"5.1.1","text":"gone"}');
  assert.equal(text("REJECT 5.7.1"), '{"kind":"reject","dsn":"5.7.1","text":""}');
  assert.equal(text("REJECT 5.7.1x"), '{"kind":"reject","text":"5.7.1x"}');
  assert.equal(text("DEFER 3.7.1 x"), '{"kind":"defer","text":"3.7.1 x"}');
});

for (const [dsn, code, replyClass, want, why] of [
  ["4.7.1", 554, "Client host", "5.7.1", "class digit follows the code"],
  ["5.1.1", 550, "Sender address", "5.1.0", "not a sender's"],
  ["5.1.2", 450, "Sender address", "4.1.8", "bad sender domain"],
  ["5.1.3", 550, "Sender address", "5.1.7", "bad sender syntax"],
  ["5.1.7", 550, "Recipient address", "5.1.3", "bad recipient syntax"],
  ["5.1.8", 550, "Recipient address", "5.1.2", "bad recipient domain"],
  ["5.1.99", 550, "Recipient address", "5.1.0", "unknown detail"],
  ["5.1.10", 556, "Recipient address", "5.1.10", "null MX"],
  ["5.1.0", 550, "Sender address", "5.1.0", "other address status"],
  ["5.1.4", 550, "Sender address", "5.1.0", "ambiguous mailbox"],
  ["5.1.7", 553, "Sender address", "5.1.7", "a sender's own"],
  ["5.1.8", 553, "Sender address", "5.1.8", "a sender's own"],
  ["5.1.6", 550, "Recipient address", "5.1.6", "has moved"],
  ["5.7.25", 450, "Client host", "4.7.25", "no address status"],
  ["5.1.1", 550, "Helo command", "5.0.0", "no address at all"],
] as const) {
  test(`repairDsn() ${why}: ${dsn}`, () => assert.equal(repairDsn(dsn, code, replyClass), want));
}

test("rejected() is one printable line of at most 510 characters", () => {
  const subject = { name: `a\r\n250 ok\u00e4${"x".repeat(2000)}`, replyClass: "Helo command" } as const;
  const line = formatReply(rejected(550, "5.7.1", subject, "no"));
  assert.match(line, /^550 5\.7\.1 <a\?\?250 ok\?x+\r\n$/);
  assert.equal(line.length, 512);
});

for (const [name, host, qualified] of [
  ["mail.example.org", true, true],
  ["laptop", true, false],
  ["a_b.test", true, true],
  ["a..b", false, false],
  ["-a.test", false, false],
  ["a-.test", false, false],
  ["127.0.0.1", false, false],
  ["m\u00fcnchen.test", true, true],
  [`${"a".repeat(64)}.test`, false, false],
  ["", false, false],
] as const) {
  test(`isHostname() ${JSON.stringify(name).slice(0, 40)}`, () => {
    assert.equal(isHostname(name), host);
    assert.equal(isFullyQualified(name), qualified);
  });
}

test("isAddressLiteral() takes IPv4 and tagged IPv6 only", () => {
  for (const good of ["[192.0.2.1]", "[IPv6:2001:db8::1]", "[IPV6:::1]"]) assert.ok(isAddressLiteral(good), good);
  for (const bad of ["[1.2.3]", "[::1]", "192.0.2.1", "[IPv6:1.2.3.4]", "[IPv6:fe80::1%eth0]", "[]", "[0x7f.1.1.1]"]) {
    assert.ok(!isAddressLiteral(bad), bad);
  }
});

test("lookup keys come in Postfix's order", () => {
  const options = { partialKeys: true, plainParents: true, delimiter: "+-" };
  const keys = new LookupKeys(options);
  const whole = new LookupKeys({ ...options, partialKeys: false });
  assert.deepEqual(keys.ofHost("a.b.c"), ["a.b.c", "b.c", "c"]);
  assert.deepEqual(new LookupKeys({ ...options, plainParents: false }).ofHost("a.b.c"), ["a.b.c", ".b.c", ".c"]);
  assert.deepEqual(keys.ofHost("192.0.2.1"), ["192.0.2.1"]);
  assert.deepEqual(keys.ofAddress("192.0.2.1"), ["192.0.2.1", "192.0.2", "192.0", "192"]);
  assert.deepEqual(keys.ofAddress("2001:db8::1"), ["2001:db8::1", "2001:db8", "2001"]);
  assert.deepEqual(keys.ofClient("b.c", "10.1.2.3"), ["b.c", "c", "10.1.2.3", "10.1.2", "10.1", "10"]);
  assert.deepEqual(whole.ofClient("b.c", "10.1.2.3"), ["b.c", "10.1.2.3"]);
  const user = asAddress("u+x@b.c");
  assert.deepEqual(keys.ofMail(user), ["u+x@b.c", "u@b.c", "b.c", "c", "u+x@", "u@"]);
  assert.deepEqual(whole.ofMail(user), ["u+x@b.c"]);
  assert.deepEqual(keys.ofMail(asAddress("+x@b")), ["+x@b", "b", "+x@"]);
});

test("lookup keys are kept for the names asked last, and right for all", () => {
  const keys = new LookupKeys({ partialKeys: true, plainParents: true, delimiter: "" });
  for (let turn = 0; turn < 3; turn++) {
    for (let i = 0; i < 200; i++) assert.deepEqual(keys.ofHost(`${i}.b`), [`${i}.b`, "b"]);
  }
});

/** A configuration whose only own domain is example.org. */
function compile(settings: Record<string, string>) {
  return compileAccess(parametersOf(settings), {
    tables: { open: (ref) => ({ ref, partialKeys: true, get: (key) => (key.length % 2 === 0 ? "OK" : undefined) }) },
    resolver: {
      rewrite: (address) => address,
      classOf: (address) => (address.endsWith("@example.org") ? "local" : "default"),
      route: () => assert.fail("restrictions never route"),
      unlistedIn: () => undefined,
      hasSenderRouting: () => false,
    },
    log: new Log({ sink: () => {}, now: () => 0, tag: "t", id: 1 }),
    mynetworks: { find: () => undefined },
  });
}

test("the default relay list keeps strangers from relaying from compatibility level 1 on", async () => {
  const { policy, problems } = compile({ compatibility_level: "3.6" });
  assert.deepEqual(problems, []);
  const { decision } = await policy.newSession().atRcpt(STRANGER);
  assert.deepEqual(decision.kind === "defer" && decision.reply.lines, ["<x@far.test>: Relay access denied"]);
  assert.equal(compile({ compatibility_level: "0" }).problems.length, 1, "below level 1 somebody must say no");
});

const ARGUMENTS = {
  none: "",
  table: " texthash:/t",
  service: " inet:127.0.0.1:9",
  domain: " list.test",
  text: " 0",
};

const anyList = fc
  .array(
    fc
      .constantFrom(...WORDS, undefined)
      .map((word) => (word === undefined ? "k" : `${word.names[0]}${ARGUMENTS[word.argument]}`)),
    { maxLength: 6 },
  )
  .map((words) => words.join(", "));

test("no list of words beside a guarded relay list lets a stranger relay", async () => {
  const settings = fc.record({
    smtpd_client_restrictions: anyList,
    smtpd_helo_restrictions: anyList,
    smtpd_sender_restrictions: anyList,
    smtpd_recipient_restrictions: anyList,
    k: anyList,
    smtpd_delay_reject: fc.constantFrom("yes", "no"),
    smtpd_relay_before_recipient_restrictions: fc.constantFrom("yes", "no"),
  });
  await fc.assert(
    fc.asyncProperty(settings, async (some) => {
      const guard = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination";
      const { policy } = compile({ ...some, smtpd_relay_restrictions: guard, smtpd_restriction_classes: "k" });
      const session = policy.newSession();
      await session.atConnect(STRANGER);
      await session.atHelo(STRANGER);
      await session.atMail(STRANGER);
      const { decision } = await session.atRcpt(STRANGER);
      assert.ok(decision.kind === "reject" || decision.kind === "defer", decision.kind);
      assert.ok(decision.reply.code >= 400);
    }),
    { numRuns: 300 },
  );
});

test("a restriction class that doubles at each level ends after a bounded number of steps", async () => {
  const levels = Array.from({ length: 60 }, (_, i) => [
    `c${i}`,
    i === 59 ? "permit_mynetworks" : `c${i + 1}, c${i + 1}`,
  ]);
  const { policy } = compile({
    ...Object.fromEntries(levels),
    smtpd_restriction_classes: levels.map(([name]) => name).join(" "),
    smtpd_recipient_restrictions: "c0, reject",
  });
  const { decision, trace } = await policy.newSession().atRcpt(STRANGER);
  assert.equal(decision.kind === "defer" && decision.reply.code, 451);
  assert.ok(trace.length <= 10_001);
});
