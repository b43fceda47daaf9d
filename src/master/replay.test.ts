/** master/replay.test.ts: which decisions are told to come out differently, which are not, and which cannot be told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareServices } from "../config/compare-services.ts";
import { loadSnapshot } from "../config/load.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { RecordedDecision } from "../decisions/decision.ts";
import { type Replay, replayDecisions } from "./replay.ts";

const BASE = `compatibility_level = 3.10
myhostname = mail.example.org
mydestination = example.org
local_recipient_maps =
smtpd_sasl_type = postern
smtpd_tls_security_level = none
`;
const RELAY = "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n";

async function load(main: string, master: string): Promise<ConfigSnapshot> {
  const { snapshot, problems } = await loadSnapshot({
    configDirectory: "/etc/postern",
    generation: 1,
    hostname: "mail.example.org",
    mailVersion: "1",
    readFile: async (path) => {
      if (path.endsWith("main.cf")) return Buffer.from(`${BASE}${main}`);
      if (path.endsWith("master.cf")) return Buffer.from(master);
      throw Object.assign(new Error("none"), { code: "ENOENT" });
    },
  });
  assert.ok(snapshot, JSON.stringify(problems));
  return snapshot;
}

function decision(more: Partial<RecordedDecision> = {}): RecordedDecision {
  return {
    at: 1,
    service: "2525",
    stage: "rcpt",
    client: { address: "203.0.113.9", name: "unknown", reverseName: "unknown", nameStatus: "missing" },
    helo: "laptop.example.net",
    sender: "bob@example.net",
    recipient: "someone@example.org",
    result: "accepted",
    code: 250,
    ...more,
  };
}

const FOREIGN = decision({ recipient: "far@example.com", result: "rejected", code: 554 });
const LOGGED_IN = decision({ recipient: "far@example.com", login: { method: "PLAIN", username: "alice" } });
const UNGREETED = decision({ helo: undefined });

const SMTPD = "2525 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n";

/** What the tests compare: groups as `count service before -> after`. */
function show(replay: Replay): Record<string, unknown> {
  const result = (one: { result: string; effects: readonly string[] }) => [one.result, ...one.effects].join("+");
  return {
    same: replay.same,
    groups: replay.groups.map(({ count, service, examples: [first] }) => {
      assert.ok(first);
      return `${count} ${service} ${result(first.before)} -> ${result(first.after)}`;
    }),
    undecided: Object.fromEntries(replay.undecided.rules),
    without: [...replay.without.before, ...replay.without.after].map(([name, count]) => `${count} ${name}`),
    drifted: replay.drifted,
  };
}

const NOTHING = { same: 0, groups: [], undecided: {}, without: [], drifted: 0 };

const CASES = [
  {
    why: "the same configuration decides the same",
    after: RELAY,
    decisions: [decision(), FOREIGN, LOGGED_IN, UNGREETED],
    want: { ...NOTHING, same: 4 },
  },
  {
    why: "a client list that refuses",
    after: `${RELAY}smtpd_client_restrictions = check_client_access cidr:{{203.0.113.0/24 REJECT}}\n`,
    decisions: [decision(), decision({ at: 2, recipient: "other@example.org" }), FOREIGN, LOGGED_IN],
    want: { ...NOTHING, same: 1, groups: ["2 2525 accepted -> rejected", "1 2525 accepted -> rejected"] },
  },
  {
    why: "an open relay",
    after: "smtpd_relay_restrictions = permit\n",
    decisions: [decision(), FOREIGN],
    want: { ...NOTHING, same: 1, groups: ["1 2525 rejected -> accepted"] },
  },
  {
    why: "mail that would be held",
    after: `${RELAY}smtpd_sender_restrictions = check_sender_access inline:{example.net=HOLD}\n`,
    decisions: [decision()],
    want: { ...NOTHING, groups: ["1 2525 accepted -> accepted+hold"] },
  },
  {
    why: "logins that are no longer taken",
    after: RELAY,
    master: SMTPD.replace("=yes", "=no"),
    decisions: [LOGGED_IN],
    want: { ...NOTHING, groups: ["1 2525 accepted -> rejected"] },
  },
  {
    why: "a refusal at MAIL is a refusal of the recipient",
    after: `${RELAY}smtpd_delay_reject = no\nsmtpd_sender_restrictions = reject\n`,
    decisions: [decision()],
    want: { ...NOTHING, groups: ["1 2525 accepted -> rejected"] },
  },
  {
    why: "soft_bounce defers what was rejected, and is no drift",
    after: `${RELAY}soft_bounce = yes\n`,
    decisions: [FOREIGN],
    want: { ...NOTHING, groups: ["1 2525 rejected -> deferred"] },
  },
  {
    why: "who did not greet has to",
    after: `${RELAY}smtpd_helo_required = yes\n`,
    decisions: [UNGREETED, decision()],
    want: { ...NOTHING, same: 1, groups: ["1 2525 accepted -> rejected"] },
  },
  {
    why: "what hangs on DNS is undecided, and counted by restriction",
    after: `${RELAY}smtpd_recipient_restrictions = reject_unknown_sender_domain\n`,
    decisions: [decision(), FOREIGN],
    want: { ...NOTHING, same: 1, undecided: { reject_unknown_sender_domain: 1 } },
  },
  {
    why: "what both would ask alike is the same",
    before: `${RELAY}smtpd_sender_restrictions = reject_unknown_sender_domain\n`,
    after: `${RELAY}smtpd_sender_restrictions = reject_unknown_sender_domain\n`,
    decisions: [decision()],
    want: { ...NOTHING, same: 1 },
  },
  {
    why: "a service on another address is another one",
    before: RELAY,
    after: RELAY,
    master: SMTPD.replace("2525", "127.0.0.1:2525"),
    decisions: [decision()],
    want: { ...NOTHING, without: ["1 2525"] },
  },
  {
    why: "smtp is 25",
    beforeMaster: SMTPD.replace("2525", "smtp"),
    after: RELAY,
    master: SMTPD.replace("2525", "25"),
    decisions: [decision({ service: "smtp" })],
    want: { ...NOTHING, same: 1 },
  },
  {
    why: "decisions of services that are long gone",
    after: RELAY,
    decisions: [decision({ service: "gone" })],
    want: { ...NOTHING, without: ["1 gone"] },
  },
  {
    why: "what was decided otherwise than it would be now is told",
    after: RELAY,
    decisions: [{ ...FOREIGN, result: "accepted" as const }],
    want: { ...NOTHING, same: 1, drifted: 1 },
  },
  { why: "nothing stored", after: RELAY, decisions: [], want: NOTHING },
];

for (const { why, before = RELAY, after, master = SMTPD, beforeMaster = SMTPD, decisions, want } of CASES) {
  test(`replayDecisions() ${why}`, async () => {
    const [old, now] = [await load(before, beforeMaster), await load(after, master)];
    const { pairs } = compareServices(old, now);
    const surroundings = { hostsText: "" };
    const replay = await replayDecisions({ decisions, before: old, after: now, pairs, ask: false, surroundings });
    assert.equal(replay.total, decisions.length);
    assert.deepEqual(show(replay), want);
  });
}

test("replayDecisions() keeps three examples of a group, and counts all", async () => {
  const [old, now] = [await load(RELAY, SMTPD), await load("smtpd_relay_restrictions = reject\n", SMTPD)];
  const decisions = Array.from({ length: 50 }, (_, i) => decision({ recipient: `u${i}@example.org` }));
  const { pairs } = compareServices(old, now);
  const replay = await replayDecisions({
    decisions,
    before: old,
    after: now,
    pairs,
    ask: false,
    surroundings: { hostsText: "" },
  });
  assert.deepEqual([replay.groups.length, replay.groups[0]?.count, replay.groups[0]?.examples.length], [1, 50, 3]);
});
