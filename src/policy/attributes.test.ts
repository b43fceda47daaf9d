/** Tests of policy/attributes.ts: the order is Postfix's (postfix.md §4.1), and nothing remote can start a line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ATTRIBUTE_NAMES, composeRequest, encodeXtext, requestLines } from "./attributes.ts";

test("composeRequest() sends every attribute, in Postfix's order, empty when unknown", () => {
  const lines = requestLines(composeRequest({ protocol_state: "RCPT", sender: "a=b@c.test", size: "0" }));
  assert.equal(
    lines.join("\n"),
    `request=smtpd_access_policy
protocol_state=RCPT
protocol_name=
client_address=
client_name=
client_port=
reverse_client_name=
server_address=
server_port=
helo_name=
sender=a=b@c.test
recipient=
recipient_count=
queue_id=
instance=
size=0
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=
policy_context=
compatibility_level=
mail_version=
`,
  );
});

test("composeRequest() keeps remote text on its line, whatever it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (helo) => {
      const lines = requestLines(composeRequest({ helo_name: helo }));
      assert.equal(lines.length, ATTRIBUTE_NAMES.length + 1);
      assert.equal(lines.join("\n").split(/[\r\n\0]/).length, lines.length);
    }),
  );
});

for (const c of [
  { in: "plain", want: "plain", why: "printable" },
  { in: "Joe's CA + Sons", want: "Joe's+20CA+20+2B+20Sons", why: "blank and plus" },
  { in: "a=b", want: "a=b", why: "Postfix leaves = alone here" },
  { in: "Zoë\n", want: "Zo+C3+AB+0A", why: "UTF-8 bytes and controls" },
]) {
  test(`encodeXtext() ${c.why}: ${JSON.stringify(c.in)}`, () => assert.equal(encodeXtext(c.in), c.want));
}
