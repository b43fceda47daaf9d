/** What the pipe agent writes for a command, asks the master, and makes of the answer. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parsePipeCommand } from "../config/pipe-command.ts";
import type { CommandEnd } from "./command-result.ts";
import { createPipeAgent, type PipeOrder } from "./pipe.ts";
import { never, type RequestOptions, requestFor } from "./testdata/site.ts";

const MESSAGE = "Received: by x\r\nDelivered-To: loop@x.test\r\n\r\nFrom here\r\n.dot\r\n";

interface Ran {
  readonly order: PipeOrder;
  readonly text: string;
}

async function deliver(
  args: string,
  to: readonly string[],
  options: RequestOptions & { end?: CommandEnd | Error; signal?: AbortSignal } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "pipe-agent-"));
  const ran: Ran[] = [];
  let files = 0;
  const agent = createPipeAgent({
    ...{ service: "p", clock: systemClock, directory, nextFileName: () => `0.${++files}` },
    command: parsePipeCommand({ args: ["user=x", ...args.split(" "), "argv=/bin/x"] }),
    run: async (order) => {
      ran.push({ order, text: readFileSync(join(directory, order.fileName), "utf8") });
      if (options.end instanceof Error) throw options.end;
      return options.end ?? { kind: "exit", status: 0, output: "" };
    },
  });
  const outcomes = await agent.deliver(requestFor(to, { message: MESSAGE, ...options }), options.signal ?? never);
  const left = readdirSync(directory);
  rmSync(directory, { recursive: true });
  assert.deepEqual(left, [], "no message is left behind");
  return { ran, outcomes, told: outcomes.map(({ kind, dsn, text }) => `${kind} ${dsn} ${text}`) };
}

const BODY = "Received: by x\nDelivered-To: loop@x.test\n\nFrom here\n.dot\n";
const FROM = /^From s@from\.test {2}\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$/;
const TEXTS: readonly { flags: string; sender?: string; want: (text: string) => void; why: string }[] = [
  { flags: "flags=", want: (text) => assert.equal(text, BODY), why: "as it is" },
  { flags: "flags=B", want: (text) => assert.equal(text, `${BODY}\n`), why: "B: a blank line" },
  { flags: "flags=.>", want: (text) => assert.match(text, /\n\n>From here\n\.\.dot\n$/), why: "dots and From_" },
  { flags: "flags=F", want: (text) => assert.match(text.split("\n", 1)[0] ?? "", FROM), why: "F: From_" },
  {
    flags: "flags=DOR",
    want: (text) =>
      assert.equal(text, `Return-Path: <s@from.test>\nX-Original-To: first@y.test\nDelivered-To: a@y.test\n${BODY}`),
    why: "D, O and R, in Postfix's order",
  },
  {
    flags: "flags=R",
    sender: "",
    want: (text) => assert.match(text, /^Return-Path: <MAILER-DAEMON>\n/),
    why: "the null sender",
  },
  {
    flags: "flags=R null_sender=",
    sender: "",
    want: (text) => assert.match(text, /^Return-Path: <>\n/),
    why: "null_sender=",
  },
  {
    flags: "flags=F null_sender=",
    sender: "",
    want: (text) => assert.match(text, /^From MAILER-DAEMON {2}/),
    why: "but From_ needs a name",
  },
  {
    flags: "flags=R eol=\\r\\n",
    want: (text) => assert.equal(text.replaceAll("\r\n", "").includes("\n"), false),
    why: "eol",
  },
  {
    flags: "flags=R",
    sender: "a\nBcc: b@x.test",
    want: (text) => assert.match(text, /^Return-Path: <"a\?Bcc: b"@x\.test>\n/),
    why: "no header of the sender's",
  },
];
for (const c of TEXTS) {
  test(`the command reads: ${c.why}`, async () => {
    const { ran } = await deliver(c.flags, ["a@y.test"], {
      sender: c.sender ?? "s@from.test",
      original: "first@y.test",
    });
    assert.equal(ran.length, 1);
    c.want(ran[0]?.text ?? "");
  });
}

test("one command for all recipients, whose end is theirs", async () => {
  const { ran, outcomes, told } = await deliver("flags=R", ["a@y.test", "b@y.test"], { nexthop: "hop" });
  assert.equal(ran.length, 1);
  assert.deepEqual(
    ran[0]?.order.values.recipients.map(({ address }) => address),
    ["a@y.test", "b@y.test"],
  );
  assert.deepEqual([ran[0]?.order.service, ran[0]?.order.values.nexthop], ["p", "hop"]);
  assert.deepEqual(told, Array(2).fill("sent 2.0.0 delivered via p service"));
  assert.deepEqual(
    outcomes.map(({ recipientId, relay, dsnAction }) => [recipientId, relay, dsnAction]),
    [
      [1, "p", "relayed"],
      [2, "p", "relayed"],
    ],
  );
});

test("X: the command delivers for good: reported as delivered (DSN-32)", async () => {
  const { outcomes } = await deliver("flags=X", ["a@y.test"]);
  assert.equal(outcomes[0]?.dsnAction, undefined);
});

test("D and O make a command for each recipient", async () => {
  const { ran } = await deliver("flags=D", ["a@y.test", "b@y.test"]);
  assert.deepEqual(
    ran.map(({ text }) => text.split("\n", 1)[0]),
    ["Delivered-To: a@y.test", "Delivered-To: b@y.test"],
  );
});

const REFUSALS: readonly {
  args: string;
  to?: string;
  options?: Parameters<typeof deliver>[2];
  ran: number;
  want: string;
  why: string;
}[] = [
  { args: "size=20", ran: 0, want: "bounced 5.2.3 message too large", why: "size=" },
  {
    args: "flags=D",
    to: "Loop@x.test",
    ran: 0,
    want: "bounced 5.4.6 mail forwarding loop for Loop@x.test",
    why: "a loop",
  },
  {
    args: "flags=",
    to: "loop@x.test",
    ran: 1,
    want: "sent 2.0.0 delivered via p service",
    why: "without D loops are not looked for",
  },
  { args: "flags=", options: { probe: true }, ran: 0, want: "sent 2.0.0 delivers to command: /bin/x", why: "a probe" },
  {
    args: "flags=",
    options: { end: { kind: "exit", status: 67, output: "" } },
    ran: 1,
    want: "bounced 5.1.1 user unknown",
    why: "its status",
  },
  {
    args: "flags=",
    options: { end: new Error("The master has ended") },
    ran: 1,
    want: "deferred 4.3.0 pipe delivery failed: The master has ended",
    why: "no master",
  },
  {
    args: "flags=",
    options: { signal: AbortSignal.abort() },
    ran: 0,
    want: "deferred 4.3.0 delivery was interrupted",
    why: "the server stops",
  },
];
for (const c of REFUSALS) {
  test(`the pipe agent says: ${c.why}`, async () => {
    const { ran, told } = await deliver(c.args, [c.to ?? "a@y.test"], c.options);
    assert.equal(ran.length, c.ran);
    assert.deepEqual(told, [c.want]);
  });
}
