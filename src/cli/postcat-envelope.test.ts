import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePostcat } from "./postcat-envelope.ts";

const FILE = "deferred/2/2F69120CA03";
const HEAD = [
  `*** ENVELOPE RECORDS ${FILE} ***`,
  "message_size:             320             702               1               2             320               0",
  "message_arrival_time: Tue Nov 24 15:46:51 2026",
  "create_time: Tue Nov 24 15:46:51 2026",
  "sender: x@y.example",
];
const TAIL = [
  `*** MESSAGE CONTENTS ${FILE} ***`,
  `*** HEADER EXTRACTED ${FILE} ***`,
  `*** MESSAGE FILE END ${FILE} ***`,
  "",
];
const output = (...records: readonly string[]) => [...HEAD, ...records, ...TAIL].join("\n");

function parsed(text: string) {
  const message = parsePostcat(text);
  assert.ok(typeof message !== "string", String(message));
  return JSON.parse(JSON.stringify(message));
}

test("parsePostcat() reads what Postfix 3.7.11 prints of a message from a client", () => {
  const message = parsed(
    output(
      ...["content_filter: smtp:[127.0.0.1]:10", "named_attribute: log_ident=2F69120CA03"],
      ...["named_attribute: envelope_id=id=1", "named_attribute: ret_flags=2", "named_attribute: encoding=7bit"],
      ...["named_attribute: client_name=pc.example", "named_attribute: client_address=192.0.2.7"],
      ...[
        "named_attribute: helo_name=pc",
        "named_attribute: protocol_name=ESMTP",
        "named_attribute: sasl_method=PLAIN",
      ],
      ...["named_attribute: sasl_username=x", "named_attribute: sasl_sender=s@y.example"],
      ...["named_attribute: notify_flags=10", "named_attribute: dsn_orig_rcpt=rfc822;c d@example.com"],
      ...["original_recipient: c d@example.com", "recipient: c d@example.net"],
      ...["named_attribute: notify_flags=1", "named_attribute: dsn_orig_rcpt=utf-8;a@z", "original_recipient: a"],
      "recipient: ü@z.example",
    ),
  );
  assert.deepEqual(message, {
    envelope: {
      ...{
        sender: "x@y.example",
        arrivalMs: 1795535211000,
        smtputf8: false,
        filter: "smtp:[127.0.0.1]:10",
        body: "7BIT",
      },
      origin: {
        ...{ clientName: "pc.example", clientAddress: "192.0.2.7", helo: "pc", protocol: "ESMTP", service: "import" },
        ...{ saslMethod: "PLAIN", saslUsername: "x", saslSender: "s@y.example" },
      },
      dsn: { ret: "HDRS", envid: "id=1" },
    },
    recipients: [
      { address: "c d@example.net", original: "c d@example.com", dsn: { notify: ["SUCCESS", "DELAY"] } },
      { address: "ü@z.example", original: "a", dsn: { orcpt: "utf-8;a@z", notify: ["NEVER"] } },
    ],
  });
});

const rows = [
  { records: ["recipient: a@b"], want: ["a@b"], why: "a recipient alone" },
  { records: ["done_recipient: a@b", "recipient: c@d"], want: ["c@d"], why: "what is done is left out" },
  { records: ["original_recipient: o", "canceled_recipient: a@b", "recipient: c@d"], want: ["c@d"], why: "canceled" },
  { records: ["done_recipient: a@b"], want: [], why: "all done" },
  {
    records: ["recipient: a@b", "recipient: c@d", "redirect_to: r@x"],
    want: ["r@x"],
    why: "a message that was redirected",
  },
];
for (const { records, want, why } of rows) {
  test(`parsePostcat() recipients: ${why}`, () => {
    const { recipients } = parsed(output(...records));
    assert.deepEqual(
      recipients.map(({ address }: { address: string }) => address),
      want,
    );
  });
}

test("parsePostcat() what is said of a recipient that is done is not said of the next", () => {
  const { recipients } = parsed(
    output("named_attribute: notify_flags=1", "original_recipient: o", "done_recipient: a@b", "recipient: c@d"),
  );
  assert.deepEqual(recipients, [{ address: "c@d", original: "c@d" }]);
});

test("parsePostcat() knows the null sender, SMTPUTF8, and mail from programs", () => {
  const text = output("recipient: a@b")
    .replace("sender: x@y.example", "sender: ")
    .replace(/0\nmessage_arr/, "3\nmessage_arr");
  const { envelope } = parsed(text);
  assert.deepEqual([envelope.sender, envelope.smtputf8, envelope.body], ["", true, "8BITMIME"]);
  assert.deepEqual([envelope.origin.clientName, envelope.dsn], ["localhost", undefined]);
});

const bad = [
  { text: "", want: /^postcat printed no envelope$/, why: "nothing" },
  { text: output("recipient: a@b").replace(/\*\*\* MESSAGE FILE END.*/s, ""), want: /incomplete/, why: "cut off" },
  {
    text: output("from_the_future: 1"),
    want: /^record "from_the_future" is not known$/,
    why: "a record of a newer version",
  },
  { text: output("verp_sender: +="), want: /not known/, why: "VERP, which is not done here" },
  { text: output("recipient: a\n@b"), want: /cannot be read: @b$/, why: "a line end in an address" },
  { text: output("message_size: 1 2 3"), want: /another version/, why: "an old size record" },
  { text: output("named_attribute: notify_flags=99"), want: /^notify flags 99$/, why: "flags that do not exist" },
  { text: output("named_attribute: novalue"), want: /attribute cannot be read/, why: "an attribute without value" },
  { text: output("message_arrival_time: yesterday"), want: /^no time/, why: "no time" },
  { text: output("recipient: \ufffd@b"), want: /not UTF-8/, why: "bytes that are not UTF-8" },
  { text: output("recipient: a@b").replace("sender: x@y.example\n", ""), want: /missing/, why: "no sender" },
];
for (const { text, want, why } of bad) {
  test(`parsePostcat() refuses: ${why}`, () => assert.match(String(parsePostcat(text)), want));
}

test("parsePostcat() throws for no text", () => {
  const line = fc.oneof(fc.string(), fc.constantFrom(...HEAD, ...TAIL, "recipient: a", "named_attribute: x=y"));
  fc.assert(fc.property(fc.array(line), (lines) => void parsePostcat(lines.join("\n"))));
});
