/** Tests of access/restrictions/check-policy-service.ts: what is asked, and what the answers do to the list. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../../config/parameters.ts";
import { Log } from "../../log/log.ts";
import { asAddress } from "../../mail/address.ts";
import { replyText } from "../../mail/reply.ts";
import { requestLines } from "../../policy/attributes.ts";
import type { PolicyAnswer, PolicyRequest } from "../../policy/policy.ts";
import type { Facts, Verdict } from "../access.ts";
import { compileAccess } from "../compile.ts";
import { formatLookup } from "../trace.ts";

const FACTS: Facts = {
  client: { address: "198.51.100.7", port: 4711, name: "c.test", reverseName: "r.test", nameStatus: "verified" },
  server: { address: "192.0.2.25", port: 587 },
  protocol: "ESMTP",
  command: "RCPT",
  helo: "laptop\r\naction=OK",
  sender: asAddress("a@b.test"),
  recipient: asAddress("x@far.test"),
  recipientCount: 2,
  sasl: { method: "PLAIN", username: "alice" },
  saslSender: "alice@b.test",
  saslEnabled: true,
  tls: {
    protocol: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    bits: 256,
    reused: false,
    peer: {
      subject: "Alice A",
      issuer: "Our CA+",
      certFingerprint: "AA:BB",
      publicKeyFingerprint: "CC:DD",
      trusted: true,
    },
  },
  sizeBytes: 12345,
  queueId: "4bXYZ",
  instance: "1f.2.3.0",
  earlyTalker: false,
};

/** Lists with one fake server at the edge, whose answers are given in turn. */
function world(settings: Record<string, string>, answers: readonly (string | undefined)[]) {
  const asked: PolicyRequest[] = [];
  const logged: string[] = [];
  const left = [...answers];
  const params = parametersOf({ compatibility_level: "3.10", ...settings });
  const { policy, problems } = compileAccess(params, {
    tables: { open: () => assert.fail("no tables here") },
    resolver: {
      rewrite: (address) => address,
      classOf: () => "local",
      route: () => assert.fail("restrictions never route"),
      unlistedIn: () => undefined,
      hasSenderRouting: () => false,
    },
    log: new Log({ sink: ({ text }) => void logged.push(text), now: () => 0, tag: "t", id: 1 }),
    mynetworks: { find: () => undefined },
    policy: {
      open: (name) => ({
        name,
        defaultAction: params.get("smtpd_policy_service_default_action"),
        policyContext: "submission",
        async ask(request): Promise<PolicyAnswer> {
          asked.push(request);
          const action = left.shift();
          return action === undefined ? { kind: "failed", why: "Connection refused" } : { kind: "answer", action };
        },
      }),
      close: async () => {},
    },
  });
  return { session: policy.newSession("always"), asked, logged, problems };
}

const LIST = { smtpd_recipient_restrictions: "check_policy_service inet:127.0.0.1:1, reject" };

test("check_policy_service sends all that is known, in order, one line each", async () => {
  const { session, asked } = world(LIST, ["DUNNO"]);
  await session.atRcpt(FACTS);
  assert.equal(
    requestLines(asked[0] ?? []).join("\n"),
    `request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=198.51.100.7
client_name=c.test
client_port=4711
reverse_client_name=r.test
server_address=192.0.2.25
server_port=587
helo_name=laptop??action=OK
sender=a@b.test
recipient=x@far.test
recipient_count=0
queue_id=4bXYZ
instance=1f.2.3.0
size=12345
etrn_domain=
stress=
sasl_method=PLAIN
sasl_username=alice
sasl_sender=alice@b.test
ccert_subject=Alice+20A
ccert_issuer=Our+20CA+2B
ccert_fingerprint=AA:BB
ccert_pubkey_fingerprint=CC:DD
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=submission
compatibility_level=3.10
mail_version=
`,
  );
});

test("check_policy_service counts recipients at DATA and names none of several", async () => {
  const { session, asked } = world({ smtpd_data_restrictions: "check_policy_service inet:127.0.0.1:1" }, ["DUNNO"]);
  await session.atData({ ...FACTS, command: "BDAT" });
  const sent = new Map(asked[0]);
  assert.equal(sent.get("protocol_state"), "DATA", "BDAT is reported as DATA");
  assert.deepEqual([sent.get("recipient_count"), sent.get("recipient")], ["2", ""]);
});

test("check_policy_service says nothing of a certificate nobody vouches for, nor of TLS that is not there", async () => {
  const peer = FACTS.tls?.peer;
  const { session, asked } = world(LIST, ["DUNNO", "DUNNO"]);
  await session.atRcpt({ ...FACTS, tls: FACTS.tls && peer && { ...FACTS.tls, peer: { ...peer, trusted: false } } });
  await session.atRcpt({ ...FACTS, tls: undefined, sizeBytes: undefined, stress: true });
  const [untrusted, clear] = asked.map((request) => new Map(request));
  assert.deepEqual([untrusted?.get("ccert_subject"), untrusted?.get("ccert_fingerprint")], ["", "AA:BB"]);
  const names = ["encryption_keysize", "encryption_protocol", "size", "stress"];
  assert.deepEqual(
    names.map((name) => clear?.get(name)),
    ["0", "", "0", "yes"],
  );
});

for (const c of [
  { answers: ["REJECT no"], want: "reject 554 5.7.1 <x@far.test>: Recipient address rejected: no", why: "REJECT" },
  {
    answers: ["450 4.2.0 Greylisted"],
    want: "defer 450 4.2.0 <x@far.test>: Recipient address rejected: Greylisted",
    why: "code",
  },
  {
    answers: ["DEFER_IF_PERMIT 4.2.0 wait"],
    want: "reject 554 5.7.1 <x@far.test>: Recipient address rejected: Access denied",
    why: "DEFER_IF_PERMIT before a reject",
  },
  {
    answers: ["DUNNO"],
    want: "reject 554 5.7.1 <x@far.test>: Recipient address rejected: Access denied",
    why: "the list goes on",
  },
  { answers: ["OK"], want: "permit", why: "OK ends the list" },
  {
    answers: ["dunno_class"],
    want: "reject 554 5.7.1 <x@far.test>: Recipient address rejected: Access denied",
    why: "a class",
  },
  { answers: ["no such word"], want: "defer 451 4.3.5 Server configuration error", why: "garbage" },
  {
    answers: [undefined],
    want: "defer 451 4.3.5 <x@far.test>: Recipient address rejected: Server configuration problem",
    why: "no answer",
  },
]) {
  test(`check_policy_service ${c.why}: ${c.answers[0]}`, async () => {
    const classes = { smtpd_restriction_classes: "dunno_class", dunno_class: "permit_mynetworks" };
    const { session } = world({ ...LIST, ...classes }, c.answers);
    const { decision } = await session.atRcpt(FACTS);
    assert.equal("reply" in decision ? `${decision.kind} ${replyText(decision.reply)}` : decision.kind, c.want);
  });
}

test("check_policy_service notes request, answer and default action in the trace and the log", async () => {
  const settings = { ...LIST, smtpd_policy_service_default_action: "DUNNO" };
  const { session, logged } = world(settings, ["REJECT", undefined]);
  const ofRule = ({ trace }: Verdict) => trace.find(({ rule }) => rule.text.startsWith("check_policy_service"));
  const step = ofRule(await session.atRcpt(FACTS));
  const [request, answer] = (step?.lookups ?? []).map(formatLookup);
  assert.match(request ?? "", /^policy request to inet:127\.0\.0\.1:1 -> protocol_state=RCPT .*sasl_username=alice/);
  assert.equal(answer, "policy answer of inet:127.0.0.1:1 -> REJECT");
  assert.deepEqual(logged, []);
  const second = ofRule(await session.atRcpt(FACTS));
  const told = "no answer from policy server inet:127.0.0.1:1: Connection refused; default action applies: DUNNO";
  assert.equal(second?.lookups[1]?.source, told);
  assert.deepEqual(logged, [told]);
});

test("a default action that leads back to the server ends with the built-in one", async () => {
  const { session, asked } = world(
    {
      smtpd_restriction_classes: "ask",
      ask: "check_policy_service inet:127.0.0.1:1",
      smtpd_recipient_restrictions: "ask, reject",
      smtpd_policy_service_default_action: "ask",
    },
    [],
  );
  const { decision } = await session.atRcpt(FACTS);
  assert.equal("reply" in decision && decision.reply.code, 451);
  assert.equal(asked.length, 2);
});

test("a bad server is a problem of the configuration, also where no server is asked", () => {
  const bad = { smtpd_recipient_restrictions: "check_policy_service { inet:127.0.0.1:1, tiemout=1s }, reject" };
  const { problems } = compileAccess(parametersOf({ compatibility_level: "3.10", ...bad }), {
    tables: { open: () => assert.fail("no tables here") },
    resolver: {
      rewrite: (a) => a,
      classOf: () => "local",
      route: () => assert.fail(),
      unlistedIn: () => undefined,
      hasSenderRouting: () => false,
    },
    log: new Log({ sink: () => {}, now: () => 0, tag: "t", id: 1 }),
    mynetworks: { find: () => undefined },
  });
  assert.match(problems.map(({ text }) => text).join("\n"), /unknown attribute "tiemout" in policy service/);
});
