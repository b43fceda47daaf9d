import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseLimits } from "./peer-limits.ts";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";

const NONE = Number.POSITIVE_INFINITY;

const TEXTS: readonly { text: string | undefined; want: readonly number[]; why: string }[] = [
  { text: undefined, want: [NONE, NONE, NONE], why: "no LIMITS" },
  { text: "", want: [NONE, NONE, NONE], why: "LIMITS without any" },
  { text: "RCPTMAX=2 FOO=1 MAILMAX=x", want: [2, NONE, NONE], why: "unknown and malformed ones are ignored" },
  { text: "mailmax=10 RcptDomainMax=3", want: [NONE, 10, 3], why: "names in any case" },
  { text: "RCPTMAX=0", want: [NONE, NONE, NONE], why: "zero" },
  { text: "RCPTMAX=02", want: [NONE, NONE, NONE], why: "a leading zero" },
  { text: "RCPTMAX=999999", want: [999_999, NONE, NONE], why: "six digits" },
  { text: "RCPTMAX=1000000", want: [NONE, NONE, NONE], why: "seven" },
  { text: "RCPTMAX", want: [NONE, NONE, NONE], why: "no value" },
  { text: "RCPTMAX=3 RCPTMAX=5", want: [3, NONE, NONE], why: "twice: the lower one is safe" },
  { text: "RCPTMAX = 5", want: [NONE, NONE, NONE], why: "blanks" },
];
for (const { text, want, why } of TEXTS) {
  test(`LMT-04: parseLimits() ${why}`, () => {
    const { recipients, mails, domains } = parseLimits(text);
    assert.deepEqual([recipients, mails, domains], want);
  });
}

test("LMT-04: parseLimits() never gives a limit below one", () => {
  fc.assert(
    fc.property(fc.string(), (text) => Object.values(parseLimits(text)).every((limit) => limit >= 1)),
    { numRuns: 300 },
  );
});

/** Commands of each connection, `|` between connections. */
async function sent(script: PeerScript, recipients: readonly string[], messages = 1): Promise<string> {
  const peer = await FakePeer.start(script);
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}` });
  try {
    for (let i = 0; i < messages; i++) {
      const outcomes = await world.deliver({ recipients });
      assert.deepEqual(
        outcomes.map(({ recipientId, kind }) => `${recipientId} ${kind}`),
        recipients.map((_, at) => `${at + 1} sent`),
      );
    }
  } finally {
    await world.agent.close();
    await peer.stop();
  }
  const shown = peer.seen.filter(({ command }) => /^(?:MAIL|RCPT)/.test(command));
  const connections = Map.groupBy(shown, ({ connection }) => connection);
  return [...connections.values()]
    .map((commands) =>
      commands.map(({ command }) => command.replace(/^RCPT TO:<(.*)>.*/, "$1").replace(/^MAIL.*/, "MAIL")).join(" "),
    )
    .join(" | ");
}

const FIVE = ["a@x.test", "b@y.test", "c@x.test", "d@z.test", "e@x.test"];
const ALL = "MAIL a@x.test b@y.test c@x.test d@z.test e@x.test";

const DELIVERIES: readonly {
  limits?: string;
  features?: readonly string[];
  messages?: number;
  want: string;
  why: string;
}[] = [
  { limits: "FOO=1 MAILMAX=x", want: ALL, why: "nothing that it knows" },
  {
    limits: "RCPTMAX=2 FOO=1 MAILMAX=x",
    want: "MAIL a@x.test b@y.test MAIL c@x.test d@z.test MAIL e@x.test",
    why: "RCPTMAX splits the message",
  },
  {
    limits: "RCPTMAX=2",
    features: ["8BITMIME"],
    want: "MAIL a@x.test b@y.test MAIL c@x.test d@z.test MAIL e@x.test",
    why: "RCPTMAX without PIPELINING",
  },
  {
    limits: "RCPTMAX=2 MAILMAX=2",
    want: "MAIL a@x.test b@y.test MAIL c@x.test d@z.test | MAIL e@x.test",
    why: "after MAILMAX it connects again",
  },
  {
    limits: "RCPTDOMAINMAX=2",
    want: "MAIL a@x.test b@y.test c@x.test e@x.test | MAIL d@z.test",
    why: "RCPTDOMAINMAX: the domains of a session",
  },
  {
    limits: "RCPTDOMAINMAX=1 RCPTMAX=2",
    want: "MAIL a@x.test c@x.test MAIL e@x.test | MAIL b@y.test | MAIL d@z.test",
    why: "all at once",
  },
  {
    limits: "MAILMAX=2",
    messages: 3,
    want: `${ALL} ${ALL} | ${ALL}`,
    why: "MAILMAX counts the messages of a kept session",
  },
  { messages: 3, want: `${ALL} ${ALL} ${ALL}`, why: "without LIMITS a session is kept" },
];
for (const { limits, features = ["PIPELINING", "8BITMIME"], messages, want, why } of DELIVERIES) {
  test(`LMT-04: SmtpAgent ${why}`, async () => {
    const script = { features: [...features, ...(limits === undefined ? [] : [`LIMITS ${limits}`])] };
    assert.equal(await sent(script, FIVE, messages), want);
  });
}

test("LMT-04: SmtpAgent obeys the EHLO behind STARTTLS, not the one before it", async () => {
  let said = 0;
  const answer = (command: string) =>
    command.startsWith("EHLO") && ++said === 2 ? "250-peer.test\r\n250 LIMITS RCPTMAX=3" : undefined;
  const script = { features: ["STARTTLS", "LIMITS RCPTMAX=1"], answer };
  const peer = await FakePeer.start(script);
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings: { smtp_tls_security_level: "may" } });
  try {
    await world.deliver({ recipients: FIVE });
    assert.equal(peer.commands().filter((command) => command.startsWith("MAIL")).length, 2);
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});

test("LMT-04: SmtpAgent keeps no session that MAILMAX has ended", { timeout: 10_000 }, async () => {
  const quit = Promise.withResolvers<void>();
  const peer = await FakePeer.start({
    features: ["LIMITS MAILMAX=1"],
    answer: (command) => void (command === "QUIT" && quit.resolve()),
  });
  const settings = { smtp_connection_cache_time_limit: "300s" };
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings });
  try {
    await world.deliver({});
    await quit.promise;
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});

test("LMT-04: SmtpAgent a session that is lost between two parts of a message: the rest gets another", async () => {
  let ends = 0;
  const script: PeerScript = {
    features: ["LIMITS RCPTMAX=2"],
    answer: (command) => (command === "MAIL FROM:<sender@example.org>" && ++ends === 2 ? "drop" : undefined),
  };
  assert.equal(await sent(script, FIVE), "MAIL a@x.test b@y.test MAIL | MAIL c@x.test d@z.test MAIL e@x.test");
});
