/** Arguments of pipe(8) commands; the values are those that Debian's Postfix gave to the same templates. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import { type PipeValues, pipeArguments } from "./pipe-arguments.ts";

const values = (recipients: readonly string[], sender = "Joe.Doe@From.test"): PipeValues => ({
  sender: asAddress(sender),
  nexthop: "Hop.test",
  recipients: recipients.map((text) => ({ address: asAddress(text), original: asAddress(text) })),
  message: { queue_id: "ABC", size: "10", client_address: "192.0.2.1", sasl_username: "" },
});

const CASES = [
  {
    argv: "$sender ${recipient} $(nexthop)",
    to: ["a@x.test"],
    want: ["Joe.Doe@From.test", "a@x.test", "Hop.test"],
    why: "all spellings",
  },
  { argv: "$user,$extension,$mailbox,$domain", to: ["A+B@X.test"], want: ["A,B,A+B,X.test"], why: "parts" },
  {
    argv: "$user,$extension,$mailbox,$domain,$recipient,$nexthop",
    flags: "hu",
    to: ["A+B@X.test"],
    want: ["a,b,a+b,x.test,a+b@x.test,hop.test"],
    why: "hu",
  },
  { argv: "$recipient $domain", flags: "h", to: ["A@X.test"], want: ["A@x.test", "x.test"], why: "h alone" },
  {
    argv: "$recipient $mailbox",
    flags: "q",
    to: ["two words@x.test"],
    want: ['"two words"@x.test', "two words"],
    why: "q quotes whole addresses",
  },
  { argv: "$recipient", to: ["two words@x.test"], want: ["two words@x.test"], why: "no q" },
  {
    argv: "u:$user r:$recipient",
    to: ["a@x", "b@x"],
    want: ["u:a", "u:b", "r:a@x", "r:b@x"],
    why: "one argument for each recipient",
  },
  { argv: "$sender", from: "", to: ["a@x"], want: ["MAILER-DAEMON"], why: "the null sender" },
  { argv: "-f $sender --", from: "", nullSender: "", to: ["a@x"], want: ["-f", "", "--"], why: "null_sender=" },
  {
    argv: "$queue_id $size $client_address $sasl_username $client_port",
    to: ["a@x"],
    want: ["ABC", "10", "192.0.2.1", "", ""],
    why: "of the message",
  },
  { argv: "$$ $${recipient} x$recipient-y", to: ["a@x"], want: ["$", "${recipient}", "xa@x-y"], why: "dollars" },
  {
    argv: "$recipient",
    to: ["$sender@x;rm -rf /"],
    want: ["$sender@x;rm -rf /"],
    why: "what a value says is never read",
  },
  { argv: "$recipient", to: ["a\0b@x"], want: ["a?b@x"], why: "a NUL would end the argument" },
] as const;
for (const c of CASES) {
  test(`pipeArguments() ${c.why}: ${c.argv}`, () => {
    const command = {
      argv: ["/bin/x", ...c.argv.split(" ")] as [string, ...string[]],
      flags: new Set("flags" in c ? c.flags : ""),
      nullSender: "nullSender" in c ? c.nullSender : "MAILER-DAEMON",
    };
    const from = "from" in c ? c.from : undefined;
    assert.deepEqual(pipeArguments(command, values(c.to, from), "+"), ["/bin/x", ...c.want]);
  });
}

test("pipeArguments() never makes more or fewer arguments of what a value holds", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }), fc.string(), (to, from) => {
      const argv = ["/bin/x", "-f", "$sender", "$recipient"] as [string, ...string[]];
      const made = pipeArguments({ argv, flags: new Set("q"), nullSender: "" }, values(to, from), "+");
      assert.equal(made.length, 3 + to.length);
    }),
  );
});
