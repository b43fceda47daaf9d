/** Tests of policy/query.ts and policy/actions.ts: what a handler gets, and what it may say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as actions from "./actions.ts";
import { ATTRIBUTE_NAMES, type AttributeName, composeRequest, requestLines } from "./attributes.ts";
import { parsePolicyRequest } from "./query.ts";

const REQUEST = `request=smtpd_access_policy
protocol_state=DATA
sender=a=b@c.test
recipient_count=3
size=12345
client_port=
from_the_future=x

`;

test("parsePolicyRequest() gives every attribute, numbers, and what it does not know", () => {
  const parsed = parsePolicyRequest(REQUEST);
  assert.ok(parsed.kind === "query");
  const { query } = parsed;
  assert.equal(query.sender, "a=b@c.test");
  assert.equal(query.sasl_username, "", "not sent");
  assert.deepEqual([query.recipientCount, query.sizeBytes, query.clientPort, query.encryptionBits], [3, 12345, 0, 0]);
  assert.deepEqual([...query.others], [["from_the_future", "x"]]);
  assert.ok(Object.isFrozen(query));
  assert.equal(parsePolicyRequest(REQUEST.replaceAll("\n", "\r\n")).kind, "query", "line ends of other systems");
});

for (const c of [
  { in: "", want: /no request=/, why: "nothing" },
  { in: "request=junk_request\n\n", want: /no request=/, why: "another kind" },
  { in: "request=smtpd_access_policy\nGET / HTTP/1.1\n\n", want: /line without name=value/, why: "no attribute" },
  { in: "request=smtpd_access_policy\n=x\n\n", want: /line without name=value/, why: "no name" },
  { in: "request=smtpd_access_policy\nsize=1\nsize=2\n\n", want: /"size" twice/, why: "two sizes" },
  { in: "request=smtpd_access_policy\n\nsize=2\n", want: /line without/, why: "text behind the end" },
  {
    in: `request=smtpd_access_policy\n${Array.from({ length: 300 }, (_, i) => `x${i}=`).join("\n")}`,
    want: /more than 200/,
    why: "too many",
  },
]) {
  test(`parsePolicyRequest() refuses ${c.why}`, () => {
    const parsed = parsePolicyRequest(c.in);
    assert.match(parsed.kind === "malformed" ? parsed.why : "a query", c.want);
  });
}

test("parsePolicyRequest() reads what composeRequest() writes", () => {
  const values = fc.dictionary(fc.constantFrom(...ATTRIBUTE_NAMES.slice(1)), fc.string({ unit: "grapheme" }));
  fc.assert(
    fc.property(values, (some) => {
      const request = composeRequest(some as { [N in Exclude<AttributeName, "request">]?: string });
      const parsed = parsePolicyRequest(requestLines(request).join("\n"));
      assert.ok(parsed.kind === "query");
      for (const [name, value] of request) assert.equal(parsed.query[name as AttributeName], value);
    }),
  );
});

test("parsePolicyRequest() never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 500 }), (text) => void parsePolicyRequest(text)));
});

for (const [got, want] of [
  [actions.dunno(), "DUNNO"],
  [actions.ok(), "OK"],
  [actions.reject(), "REJECT"],
  [actions.reject("no", "5.7.1"), "REJECT 5.7.1 no"],
  [actions.defer("later"), "DEFER later"],
  [actions.replyCode(421, "bye", "4.7.0"), "421 4.7.0 bye"],
  [actions.deferIfPermit("Greylisted", "4.2.0"), "DEFER_IF_PERMIT 4.2.0 Greylisted"],
  [actions.deferIfReject(), "DEFER_IF_REJECT"],
  [actions.prepend("X-Quota", "9 left"), "PREPEND X-Quota: 9 left"],
  [actions.hold(), "HOLD"],
  [actions.discard("why"), "DISCARD why"],
  [actions.redirect("a@b.test"), "REDIRECT a@b.test"],
  [actions.bcc("a@b.test"), "BCC a@b.test"],
  [actions.warn("so"), "WARN so"],
  [actions.info("so"), "INFO so"],
] as const) {
  test(`an action is text: ${want}`, () => assert.equal(got, want));
}

for (const [why, make] of [
  ["a line end", () => actions.reject("a\n\naction=OK")],
  ["a control character", () => actions.warn("a\0b")],
  ["a status of another class", () => actions.reject("no", "4.7.1")],
  ["a status that is none", () => actions.defer("no", "4.7")],
  ["a status that does not fit the code", () => actions.replyCode(550, "no", "4.7.1")],
  ["a code that does not refuse", () => actions.replyCode(250, "yes")],
  ["a code alone, which would permit", () => actions.replyCode(550, "")],
  ["a field name with a blank", () => actions.prepend("X Y", "z")],
  ["a value that ends its line", () => actions.prepend("X", "z\r\nBcc: a@b.test")],
  ["what is no address", () => actions.redirect("somebody")],
  ["more than fits", () => actions.reject("x".repeat(2000))],
  ["half a surrogate pair", () => actions.reject("\ud800")],
  ["nothing", () => actions.checkAction(" ")],
] as const) {
  test(`an action is not ${why}`, () => {
    assert.throws(make, actions.PolicyActionError);
  });
}
