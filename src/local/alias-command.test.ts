/** Commands in aliases: when they run, what the master is asked, what the command reads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import { pipeCommandOf } from "./alias-command.ts";
import { messageVariables } from "./command-environment.ts";
import { Site, type SiteOptions, told } from "./testdata/site.ts";

const ALIASES = `inline:{ {prog = "|/bin/prog -x a@b"}, {two = "|/bin/a", "|/bin/b"}, {mixed = "|/bin/a", x@far.test},
  {nested = prog}, {shell = "|/bin/prog > /tmp/x"}, {relative = "|prog"}, {null = "|/bin/a", /dev/null}, {owner-prog = boss@far.test} }`;
const ALLOWED = { alias_maps: ALIASES, allow_mail_to_commands: "alias" };
const RESTRICTED = "bounced 5.7.1 mail to command is restricted";
const WAITS = "deferred 4.3.5 mail system configuration error";
const DONE = "delivered to command: /bin/prog -x a@b";

const CASES: readonly {
  to: string;
  set?: Record<string, string>;
  end?: SiteOptions["commandEnd"];
  want: readonly string[];
  ran: number;
  why: string;
}[] = [
  { to: "prog", want: [`sent 2.0.0 ${DONE}`], ran: 1, why: "alone" },
  { to: "nested", want: [`sent 2.0.0 <prog@here.test> ${DONE}`], ran: 1, why: "alone behind another alias" },
  {
    to: "prog",
    set: { allow_mail_to_commands: "forward,include" },
    want: [RESTRICTED],
    ran: 0,
    why: "not for aliases",
  },
  { to: "prog", set: { allow_mail_to_commands: "" }, want: [RESTRICTED], ran: 0, why: "set to nothing" },
  { to: "two", want: [RESTRICTED], ran: 0, why: "two of them" },
  {
    to: "mixed",
    want: [RESTRICTED, "sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"],
    ran: 0,
    why: "beside an address",
  },
  { to: "null", want: [RESTRICTED, "sent 2.0.0 delivered to file: /dev/null"], ran: 0, why: "beside /dev/null" },
  { to: "shell", want: [WAITS], ran: 0, why: "one that needs a shell" },
  { to: "relative", want: [WAITS], ran: 0, why: "a program that is somewhere" },
  {
    to: "prog",
    end: { kind: "exit", status: 67, output: "" },
    want: ["bounced 5.1.1 user unknown"],
    ran: 1,
    why: "its exit status",
  },
  {
    ...{ to: "prog", end: { kind: "exit", status: 9, output: "no\n" }, ran: 1, why: "another" },
    want: ['bounced 5.3.0 Command died with status 9: "/bin/prog -x a@b". Command output: no '],
  },
  {
    to: "prog",
    end: { kind: "exit", status: 0, output: "thanks\n" },
    want: [`sent 2.0.0 ${DONE}`],
    ran: 1,
    why: "success says nothing more",
  },
  { to: "prog", end: { kind: "refused" }, want: [WAITS], ran: 1, why: "the master does not know it" },
];
for (const c of CASES) {
  test(`|command in an alias: ${c.why}: ${c.to}`, async (t) => {
    const site = new Site({ settings: { ...ALLOWED, ...c.set }, ...(c.end && { commandEnd: c.end }) });
    t.after(() => site.remove());
    const outcome = await site.deliver(`${c.to}@here.test`, { sender: "s@from.test" });
    assert.deepEqual(told(outcome), c.want);
    assert.deepEqual([outcome.relay, outcome.dsnAction], ["local", outcome.forwards ? "expanded" : undefined]);
    assert.equal(site.orders.length, c.ran);
  });
}

test("the master is told the name of the alias, never the command", async (t) => {
  const site = new Site({ settings: ALLOWED });
  t.after(() => site.remove());
  await site.deliver("Nested+x@here.test", {
    sender: "s@from.test",
    original: "first@here.test",
    message: "X: y\r\n\r\nb\r\n",
  });
  const [asked] = site.orders;
  assert.equal(asked?.order.service, "alias:prog");
  assert.deepEqual(asked?.order.values.recipients, [
    { address: asAddress("Nested+x@here.test"), original: asAddress("first@here.test") },
  ]);
  const [first, ...lines] = asked?.text.split("\n") ?? [];
  assert.match(first ?? "", /^From s@from\.test {2}\w{3} \w{3} /);
  assert.deepEqual(lines, [
    ...["Return-Path: <s@from.test>", "X-Original-To: first@here.test", "Delivered-To: Nested+x@here.test"],
    ...["X: y", "", "b", ""],
  ]);
});

test(":include: and .forward files run nothing, whatever is allowed", async (t) => {
  const { mkdirSync, writeFileSync } = await import("node:fs");
  const site = new Site({
    settings: {
      alias_maps: "inline:{ {list = :include:/nowhere} }",
      allow_mail_to_commands: "alias, forward, include",
    },
  });
  t.after(() => site.remove());
  mkdirSync(site.home("alice"), { recursive: true });
  writeFileSync(`${site.home("alice")}/.forward`, "|/bin/prog\n");
  assert.deepEqual(told(await site.deliver("alice@here.test")), [RESTRICTED]);
  const list = new Site({
    settings: {
      alias_maps: `inline:{ {list = :include:${site.home("alice")}/.forward} }`,
      allow_mail_to_commands: "alias, include",
    },
  });
  t.after(() => list.remove());
  assert.deepEqual(told(await list.deliver("list@here.test")), [RESTRICTED]);
  assert.equal(site.orders.length + list.orders.length, 0);
});

const COMMANDS = [
  { text: "/bin/prog -x a@b", want: ["/bin/prog", "-x", "a@b"] },
  { text: "/bin/prog  two  blanks ", want: ["/bin/prog", "two", "blanks"] },
  ...[
    "prog",
    "",
    "/bin/prog $HOME",
    "/bin/a;/bin/b",
    "/bin/a | /bin/b",
    "/bin/a `b`",
    "/bin/a 'b c'",
    "/bin/a *",
    "/bin/a \\b",
    "/bin/a\nb",
    "exec /bin/a",
  ].map((text) => ({ text, want: undefined })),
];
for (const { text, want } of COMMANDS) {
  test(`pipeCommandOf() ${want ? "splits" : "refuses"} ${JSON.stringify(text)}`, () => {
    assert.deepEqual(pipeCommandOf(text, { deliveredTo: true })?.argv, want);
  });
}

test("messageVariables() brings nothing into the environment that is not allowed", () => {
  const values = {
    sender: asAddress("$(rm -rf)@x.test"),
    nexthop: "hop",
    recipients: [{ address: asAddress("User+Ext@y.test"), original: asAddress("") }],
    message: { client_address: "192.0.2.1", client_helo: "a;b\n", PATH: "/evil" },
  };
  const made = messageVariables(values, { allowed: "abcdefghijklmnopqrstuvwxyzUE0123456789.@+-", delimiter: "+" });
  assert.deepEqual(made, {
    ...{ SENDER: "__rm_-rf_@x.test", RECIPIENT: "User+Ext@y.test", ORIGINAL_RECIPIENT: "User+Ext@y.test" },
    ...{ USER: "User", LOGNAME: "User", LOCAL: "User+Ext", DOMAIN: "y.test", EXTENSION: "Ext" },
    ...{ CLIENT_ADDRESS: "192.0.2.1", CLIENT_HELO: "a_b_", CLIENT_HOSTNAME: "", CLIENT_PROTOCOL: "" },
    ...{ SASL_METHOD: "", SASL_SENDER: "", SASL_USERNAME: "" },
  });
});
