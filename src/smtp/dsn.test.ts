/** smtp/dsn.test.ts: parameters at the next hop, as functions and as a peer sees them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import type { MessageDsn, RecipientDsn } from "../mail/dsn.ts";
import { mailParameters, rcptParameters } from "./dsn.ts";
import { FakePeer } from "./testdata/fake-peer.ts";
import { createWorld } from "./testdata/world.ts";

const DSN = new Map([["DSN", ""]]);
const NONE = new Map<string, string>();

const MAIL: readonly { dsn: MessageDsn | undefined; features?: typeof DSN; want: string; why: string }[] = [
  { dsn: undefined, want: "", why: "nothing asked" },
  { dsn: { ret: "HDRS", envid: "QQ+1 =" }, want: " ENVID=QQ+2B1+20+3D RET=HDRS", why: "both, in Postfix's order" },
  { dsn: { ret: "FULL" }, want: " RET=FULL", why: "RET" },
  { dsn: { ret: "FULL", envid: "x" }, features: NONE, want: "", why: "a hop without DSN" },
];
for (const { dsn, features = DSN, want, why } of MAIL) {
  test(`DSN-20: mailParameters() ${why}`, () => {
    assert.equal(mailParameters(features, { dsn } as Parameters<typeof mailParameters>[1]), want);
  });
}

const RCPT: readonly { original: string; dsn?: RecipientDsn; features?: typeof DSN; want: string; why: string }[] = [
  { original: "o+x@far.test", want: " ORCPT=rfc822;o+2Bx@far.test", why: "nothing asked: the address as it came" },
  { original: "two words@far.test", want: ' ORCPT=rfc822;"two+20words"@far.test', why: "an address in quotes" },
  { original: "us\u00e9r@far.test", want: " ORCPT=utf-8;us\\x{E9}r@far.test", why: "a UTF-8 address" },
  { original: "", want: "", why: "no address" },
  {
    original: "a@b.test",
    dsn: { orcpt: "rfc822;Bob+X@Example.ORG", notify: ["SUCCESS", "FAILURE"] },
    want: " ORCPT=rfc822;Bob+2BX@Example.ORG NOTIFY=SUCCESS,FAILURE",
    why: "DSN-05: ORCPT unchanged",
  },
  {
    original: "a@b.test",
    dsn: { orcpt: "utf-8;us\u00e9r+@x.test", notify: ["NEVER"] },
    want: " ORCPT=utf-8;us\\x{E9}r\\x{2B}@x.test NOTIFY=NEVER",
    why: "a UTF-8 ORCPT",
  },
  { original: "a@b.test", dsn: { notify: ["NEVER"] }, features: NONE, want: "", why: "a hop without DSN" },
];
for (const { original, dsn, features = DSN, want, why } of RCPT) {
  test(`DSN-20: rcptParameters() ${why}`, () => {
    const address = asAddress("other@far.test");
    assert.equal(rcptParameters(features, { id: 1, address, original: asAddress(original), dsn }), want);
  });
}

test("parameters are one line of printable ASCII, whatever the queue holds", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, text, (envid, orcpt, original) => {
      const mail = mailParameters(DSN, { dsn: { envid } } as Parameters<typeof mailParameters>[1]);
      const recipient = { id: 1, address: asAddress("a@b.test"), original: asAddress(original) };
      const rcpt = rcptParameters(DSN, { ...recipient, dsn: { orcpt: `rfc822;${orcpt}` } });
      for (const line of [mail, rcpt, rcptParameters(DSN, recipient)]) assert.match(line, /^(?: [\x21-\x7e]*)*$/);
    }),
  );
});

const ACTIONS = [
  { features: ["DSN"], lmtp: false, want: "passedOn", why: "DSN-20: the hop will report" },
  { features: [], lmtp: false, want: "relayed", why: "DSN-21: it will not" },
  { features: ["DSN"], lmtp: true, want: "passedOn", why: "LMTP with DSN" },
  { features: [], lmtp: true, want: undefined, why: "DSN-25: LMTP is the end" },
  { features: ["DSN"], lmtp: false, discard: "dsn", want: "relayed", why: "smtp_discard_ehlo_keywords" },
] as const;
for (const { features, lmtp, want, why, ...rest } of ACTIONS) {
  test(`a success is ${want ?? "delivered"}: ${why}`, async () => {
    const peer = await FakePeer.start({ features, lmtp });
    const settings = "discard" in rest ? { smtp_discard_ehlo_keywords: rest.discard } : {};
    const nexthop = `[127.0.0.1]:${peer.port}`;
    const world = createWorld({ nexthop, settings, protocol: lmtp ? "lmtp" : "smtp" });
    try {
      const [outcome] = await world.deliver({ recipients: ["a@far.test"] });
      assert.equal(outcome?.kind, "sent");
      assert.equal(outcome?.dsnAction, want);
      assert.equal(outcome?.diagnostic, `smtp; ${outcome?.text}`);
      assert.equal(
        peer.commands().some((line) => line === "RCPT TO:<a@far.test> ORCPT=rfc822;a@far.test"),
        want === "passedOn",
      );
    } finally {
      await world.agent.close();
      await peer.stop();
    }
  });
}
