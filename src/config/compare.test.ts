/** config/compare.test.ts: what counts as a change in meaning, and what does not; which services a change reaches. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compareParameters } from "./compare-parameters.ts";
import { compareServices } from "./compare-services.ts";
import { loadSnapshot } from "./load.ts";
import type { ConfigSnapshot } from "./snapshot.ts";

interface Files {
  readonly main: string;
  readonly master: string;
}

async function load({ main, master }: Files): Promise<ConfigSnapshot> {
  const { snapshot, problems } = await loadSnapshot({
    configDirectory: "/etc/postern",
    generation: 1,
    hostname: "mail.example.org",
    mailVersion: "1",
    readFile: async (path) => {
      if (path.endsWith("main.cf")) return Buffer.from(`compatibility_level = 3.10\n${main}\n`);
      if (path.endsWith("master.cf")) return Buffer.from(`${master}\n`);
      throw Object.assign(new Error("none"), { code: "ENOENT" });
    },
  });
  assert.ok(snapshot, JSON.stringify(problems));
  return snapshot;
}

const SMTPD = "smtp inet n - n - - smtpd";
const SUBMISSION = "submission inet n - n - - smtpd";

/** `name before -> after [where]`, one for each change. */
async function changes(before: Files, after: Files): Promise<readonly string[]> {
  const [old, now] = [await load(before), await load(after)];
  return compareParameters(old, now, compareServices(old, now).pairs).map((change) => {
    const scope = change.general ? "" : ` only ${change.services.join(" ")}`;
    const except = change.except.length > 0 ? ` but ${change.except.join(" ")}` : "";
    const note = `${change.restart ? " restart" : ""}${change.effect ? "" : " no effect"}`;
    return `${change.name} ${change.before.text} -> ${change.after.text}${scope}${except}${note}`;
  });
}

const SAME = [
  { before: "relayhost = x\nmyorigin = o", after: "myorigin = o\nrelayhost = x", why: "order of lines" },
  { before: "relayhost = x", after: "# why\n\nrelayhost   =\n  x", why: "comments, white space, continuation" },
  { before: "relayhost = x", after: "next = x\nrelayhost = $next", why: "the same by way of another parameter" },
  { before: "smtpd_helo_required = yes", after: "smtpd_helo_required = YES", why: "case of a boolean" },
  { before: "bounce_queue_lifetime = 1h", after: "bounce_queue_lifetime = 3600s", why: "unit of a time" },
  { before: "smtpd_timeout = 300s", after: "", why: "the default said or not" },
  { before: "mydestination = a.test, b.test", after: "mydestination = b.test a.test", why: "order of a set" },
  {
    before: "smtpd_relay_restrictions = permit_mynetworks, reject",
    after: "smtpd_relay_restrictions =\n  permit_mynetworks\n  reject",
    why: "separators of a list",
  },
];

const DIFFERENT = [
  {
    before: "smtpd_relay_restrictions = permit_mynetworks, reject",
    after: "smtpd_relay_restrictions = reject, permit_mynetworks",
    want: ["smtpd_relay_restrictions permit_mynetworks, reject -> reject, permit_mynetworks"],
    why: "order of restrictions",
  },
  {
    before: "mydestination = !a.test, .test",
    after: "mydestination = .test, !a.test",
    want: ["mydestination !a.test, .test -> .test, !a.test"],
    why: "order of a set with an exclusion",
  },
  {
    before: "x = 1\nsmtpd_banner = $x",
    after: "x = 2\nsmtpd_banner = $x",
    want: ["smtpd_banner 1 -> 2"],
    why: "the same text with another meaning; the name behind it is not told twice",
  },
  {
    before: "smtpd_restriction_classes = c\nsmtpd_client_restrictions = c\nc = permit",
    after: "smtpd_restriction_classes = c\nsmtpd_client_restrictions = c\nc = reject",
    want: ["c permit -> reject"],
    why: "a restriction class",
  },
  { before: "", after: "postern_workers = 2", want: ["postern_workers auto -> 2 restart"], why: "needs a restart" },
  { before: "", after: "smtpd_tarpit = 3", want: ["smtpd_tarpit  -> 3 no effect"], why: "nobody's" },
  { before: "", after: "qmqpd_error_delay = 9s", want: ["qmqpd_error_delay  -> 9s no effect"], why: "not used here" },
  {
    before: "relay_destination_concurrency_limit = 1",
    after: "relay_destination_concurrency_limit = 2",
    want: ["relay_destination_concurrency_limit 1 -> 2"],
    why: "a transport's own limit",
  },
  {
    before: "ldap_users_bind_pw = a\nalias_maps = ldap:ldap_users",
    after: "ldap_users_bind_pw = b\nalias_maps = ldap:ldap_users",
    want: ["ldap_users_bind_pw (hidden) -> (hidden)"],
    why: "a password is not shown",
  },
  {
    before: "smtpd_timeout = 300s",
    after: "smtpd_timeout = soon",
    want: ["smtpd_timeout 300s -> soon"],
    why: "a bad value is compared as text",
  },
];

describe("compareParameters()", () => {
  for (const { before, after, why } of SAME) {
    test(`no change: ${why}`, async () => {
      assert.deepEqual(await changes({ main: before, master: SMTPD }, { main: after, master: SMTPD }), []);
    });
  }
  for (const { before, after, want, why } of DIFFERENT) {
    test(`a change: ${why}`, async () => {
      assert.deepEqual(await changes({ main: before, master: SMTPD }, { main: after, master: SMTPD }), want);
    });
  }

  const SCOPES = [
    {
      why: "an option of one service",
      before: { main: "", master: `${SMTPD}\n${SUBMISSION}` },
      after: { main: "", master: `${SMTPD}\n${SUBMISSION} -o smtpd_helo_required=yes` },
      want: ["smtpd_helo_required no -> yes only submission"],
    },
    {
      why: "main.cf, where a service keeps its own",
      before: { main: "", master: `${SMTPD}\n${SUBMISSION} -o smtpd_helo_required=no` },
      after: { main: "smtpd_helo_required = yes", master: `${SMTPD}\n${SUBMISSION} -o smtpd_helo_required=no` },
      want: ["smtpd_helo_required no -> yes but submission"],
    },
    {
      why: "an option that says what main.cf says anyhow is no change",
      before: { main: "", master: SUBMISSION },
      after: { main: "", master: `${SUBMISSION} -o smtpd_helo_required=no` },
      want: [],
    },
    {
      why: "an option moved to main.cf changes the other services",
      before: { main: "", master: `${SMTPD} -o syslog_name=postfix/a\n${SUBMISSION} -o smtpd_helo_required=yes` },
      after: { main: "smtpd_helo_required = yes", master: `${SMTPD} -o syslog_name=postfix/a\n${SUBMISSION}` },
      want: ["smtpd_helo_required no -> yes but submission"],
    },
  ];
  for (const { why, before, after, want } of SCOPES) {
    test(`services: ${why}`, async () => assert.deepEqual(await changes(before, after), want));
  }

  test("property: a shuffled main.cf means the same; one more helo switch is exactly one change", async () => {
    const lines = ["relayhost = x", "myorigin = $relayhost.test", "smtpd_banner = hello", "mynetworks = 127.0.0.0/8"];
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(lines, { minLength: 4 }),
        fc.array(fc.constantFrom("# c", "", "  # d")),
        async (order, noise) => {
          const master = SMTPD;
          const main = [...order].flatMap((line, i) => [line, noise[i] ?? ""]).join("\n");
          assert.deepEqual(await changes({ main: lines.join("\n"), master }, { main, master }), []);
          const more = await changes({ main, master }, { main: `${main}\nsmtpd_helo_required = yes`, master });
          assert.deepEqual(more, ["smtpd_helo_required no -> yes"]);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("compareServices()", () => {
  const CASES = [
    { before: SMTPD, after: `${SMTPD}\n${SUBMISSION}`, want: "added submission", why: "one more" },
    { before: `${SMTPD}\n${SUBMISSION}`, after: SMTPD, want: "removed submission", why: "one less" },
    {
      before: SMTPD,
      after: SMTPD.replace("- - smtpd", "- 20 smtpd"),
      want: "smtp: process limit none -> 20",
      why: "limit",
    },
    { before: SMTPD, after: SMTPD.replace("- - smtpd", "- 0 smtpd"), want: "", why: "0 is no limit either" },
    { before: SMTPD, after: SMTPD.replace("smtp ", "25 "), want: "25: name smtp -> 25", why: "the same port" },
    { before: SMTPD, after: SMTPD.replace("smtp ", "2525 "), want: "added 2525, removed smtp", why: "another port" },
    { before: SMTPD, after: SMTPD.replace("n - n", "n - y"), want: "", why: "chroot has no effect" },
    { before: SMTPD, after: `${SMTPD}\nqmgr unix n - n 300 1 qmgr`, want: "", why: "internal to Postfix" },
    {
      before: "relay unix - - n - - smtp",
      after: "relay unix - - n - - lmtp",
      want: "relay: command smtp -> lmtp",
      why: "another program",
    },
  ];
  for (const { before, after, want, why } of CASES) {
    test(why, async () => {
      const found = compareServices(await load({ main: "", master: before }), await load({ main: "", master: after }));
      const lines = [
        ...found.added.map(({ name }) => `added ${name}`),
        ...found.removed.map(({ name }) => `removed ${name}`),
        ...found.changed.flatMap(({ pair, fields }) =>
          fields.map((field) => `${pair.after.name}: ${field.field} ${field.before} -> ${field.after}`),
        ),
      ];
      assert.equal(lines.join(", "), want);
    });
  }
});
