/** access/authentication-words.test.ts: reject_spf_fail and reject_dmarc_fail: what follows from which result, and that neither lets
 *  anything through that it cannot judge. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { MessageAuthentication } from "../mail/message-authentication.ts";
import { replyText } from "../mail/reply.ts";
import { createResolver } from "../rewrite/create.ts";
import { createTableOpener } from "../tables/open.ts";
import type { Facts } from "./access.ts";
import { compileAccess } from "./compile.ts";
import { authenticationThatSays } from "./golden-authentication.ts";
import { NotAsked } from "./not-asked.ts";
import { STRANGER } from "./testdata/stranger.ts";

const FACTS: Facts = { ...STRANGER, helo: "h.test", sender: asAddress("a@far.test"), recipientCount: 1 };

function compile(overrides: Readonly<Record<string, string>>) {
  const params = parametersOf({
    compatibility_level: "3.10",
    mydestination: "example.org",
    local_recipient_maps: "",
    smtpd_relay_restrictions: "permit",
    ...overrides,
  });
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({
    files: { read: () => Buffer.from("") },
    configDirectory: "/",
    log,
    clock: systemClock,
  });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  return compileAccess(params, { tables, resolver, log, mynetworks: { find: () => undefined } });
}

async function spfReply(
  authentication: MessageAuthentication | undefined,
  overrides: Readonly<Record<string, string>> = {},
) {
  const { policy } = compile({ smtpd_sender_restrictions: "reject_spf_fail", ...overrides });
  const session = policy.newSession("always");
  await session.atMail({ ...FACTS, authentication });
  const { decision, trace } = await session.atRcpt({ ...FACTS, recipient: asAddress("b@example.org"), authentication });
  return { text: "reply" in decision ? replyText(decision.reply) : decision.kind, trace };
}

async function dmarcReply(
  authentication: MessageAuthentication | undefined,
  overrides: Readonly<Record<string, string>> = {},
) {
  const { policy } = compile({ smtpd_end_of_data_restrictions: "reject_dmarc_fail", ...overrides });
  const { decision } = await policy.newSession().atEndOfData({ ...FACTS, authentication });
  return "reply" in decision ? replyText(decision.reply) : decision.kind;
}

const PERMIT = "permit";
const SPF_TEXT = `SPF: far.test does not let ${STRANGER.client.address} send its mail`;

describe("reject_spf_fail", () => {
  const defer = { postern_spf_temperror_action: "defer" };
  const rows = [
    {
      spf: [["mailfrom", "fail"]],
      want: `550 5.7.23 <a@far.test>: Sender address rejected: ${SPF_TEXT}`,
      why: "SPF-01, AR-03: MAIL FROM that fails",
    },
    {
      spf: [
        ["helo", "fail"],
        ["mailfrom", "pass"],
      ],
      want: `550 5.7.23 <h.test>: Helo command rejected: ${SPF_TEXT}`,
      why: "SPF-01: HELO that fails",
    },
    ...(["pass", "softfail", "neutral", "none", "permerror", "temperror"] as const).map((result) => ({
      ...{ spf: [["mailfrom", result]], want: PERMIT, why: `SPF-01: ${result} lets through` },
    })),
    {
      spf: [["mailfrom", "temperror"]],
      set: defer,
      want: "451 4.7.24 <a@far.test>: Sender address rejected: SPF: far.test cannot be asked now",
      why: "SPF-01: temperror defers where a switch says so",
    },
    {
      spf: [
        ["helo", "temperror"],
        ["mailfrom", "fail"],
      ],
      set: defer,
      want: `550 5.7.23 <a@far.test>: Sender address rejected: ${SPF_TEXT}`,
      why: "a fail goes before a temperror",
    },
    {
      spf: [["mailfrom", "fail"]],
      judged: false,
      want: PERMIT,
      why: "who logged in, or is trusted, is not asked about",
    },
  ] as const;
  for (const { why, want, ...row } of rows) {
    test(why, async () => {
      const authentication = authenticationThatSays({
        spf: row.spf as never,
        judged: "judged" in row ? row.judged : true,
      });
      assert.equal((await spfReply(authentication, "set" in row ? row.set : {})).text, want);
    });
  }

  test("a word that nobody can answer refuses", async () => {
    assert.equal((await spfReply(undefined)).text, "451 4.3.5 Server configuration error");
  });

  test("so does a word in a table, unless the service was built to answer it", async () => {
    const table = { smtpd_sender_restrictions: "check_sender_access inline:{a@far.test=reject_spf_fail}" };
    assert.equal((await spfReply(undefined, table)).text, "451 4.3.5 Server configuration error");
    const { text } = await spfReply(authenticationThatSays({ spf: [["mailfrom", "fail"]] }), table);
    assert.equal(text, `550 5.7.23 <a@far.test>: Sender address rejected: ${SPF_TEXT}`);
  });

  test("explain tells what was asked, and what was not", async () => {
    const { trace } = await spfReply(
      authenticationThatSays({
        spf: [
          ["helo", "none"],
          ["mailfrom", "fail"],
        ],
      }),
    );
    const [step] = trace.filter(({ rule }) => rule.text === "reject_spf_fail");
    assert.deepEqual(
      step?.lookups.map(({ source, key, value }) => `${source} ${key}: ${value}`),
      ["SPF of helo far.test: none", "SPF of mailfrom far.test: fail"],
    );
    const silent = { ...authenticationThatSays({}), spf: () => Promise.reject(new NotAsked()) };
    const played = await spfReply(silent);
    assert.equal(played.text, PERMIT);
    assert.ok(played.trace.some(({ rule, result }) => rule.text === "reject_spf_fail" && result === "notAsked"));
  });
});

describe("reject_dmarc_fail", () => {
  const rejected =
    "550 5.7.26 <END-OF-MESSAGE>: End-of-data rejected: DMARC: far.test asks to reject mail that neither SPF nor DKIM vouches for";
  const rows = [
    {
      dmarc: { result: "fail", policy: "reject" },
      want: rejected,
      why: "DMARC-02, AR-03: what the domain asks to reject",
    },
    { dmarc: { result: "fail", policy: "quarantine" }, want: PERMIT, why: "DMARC-02: quarantine is not refused" },
    { dmarc: { result: "fail", policy: "none" }, want: PERMIT, why: "DMARC-02: nor is p=none" },
    { dmarc: { result: "pass", policy: "reject" }, want: PERMIT, why: "DMARC-02: what passes is let through" },
    {
      dmarc: { result: "permerror", noAuthor: "multiple from fields" },
      want: "550 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: DMARC: no author to verify: multiple from fields",
      why: "DMARC-02: more than one From is a failure",
    },
    { dmarc: { result: "temperror" }, want: PERMIT, why: "temperror lets through" },
    {
      dmarc: { result: "temperror" },
      set: { postern_dmarc_temperror_action: "defer" },
      want: "451 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: DMARC: far.test cannot be asked now",
      why: "or defers where a switch says so",
    },
    {
      dmarc: { result: "fail", policy: "reject" },
      judged: false,
      want: PERMIT,
      why: "who logged in, or is trusted, is not asked about",
    },
  ] as const;
  for (const { why, want, ...row } of rows) {
    test(why, async () => {
      const authentication = authenticationThatSays({ dmarc: row.dmarc, judged: "judged" in row ? row.judged : true });
      assert.equal(await dmarcReply(authentication, "set" in row ? row.set : {}), want);
    });
  }

  test("a word that nobody can answer refuses", async () => {
    assert.equal(await dmarcReply(undefined), "451 4.3.5 Server configuration error");
  });

  test("before a filter that takes the mail it is an error of the configuration", () => {
    const { problems } = compile({
      smtpd_proxy_filter: "127.0.0.1:10025",
      smtpd_end_of_data_restrictions: "reject_dmarc_fail",
      smtpd_recipient_restrictions: "reject_unauth_destination",
    });
    assert.deepEqual(
      problems.map(({ text }) => text),
      ["smtpd_end_of_data_restrictions: restriction reject_dmarc_fail cannot see mail that smtpd_proxy_filter takes"],
    );
  });

  test("in another list it is an error of the configuration", () => {
    const { problems } = compile({ smtpd_recipient_restrictions: "reject_unauth_destination, reject_dmarc_fail" });
    assert.deepEqual(
      problems.map(({ severity, text }) => `${severity} ${text}`),
      [
        "error smtpd_recipient_restrictions: restriction reject_dmarc_fail works only in smtpd_end_of_data_restrictions",
      ],
    );
  });
});
