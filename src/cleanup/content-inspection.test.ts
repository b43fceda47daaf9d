/** The checks on whole messages; what Postfix makes of the same is compared in test/interop/checks.interop.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import { replyText } from "../mail/reply.ts";
import { createTableOpener } from "../tables/open.ts";
import { type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import { createContentChecks } from "./content-checks.ts";
import { ContentInspection } from "./content-inspection.ts";
import { ContentVerdict } from "./content-verdict.ts";
import { HeaderIntake, parseFields } from "./header-block.ts";

/** `A:` and `!` at the start of a line say the action themselves. */
const RULES = {
  header_checks: "regexp:{ {/^A: *(.*)/ $$1}, {/^M[a-z-]*:/ INFO primary} }",
  mime_header_checks: "regexp:{ {/^A: *(.*)/ $$1}, {/^(Content-.*|Mime-.*)/ INFO mime} }",
  nested_header_checks: "regexp:{ {/^A: *(.*)/ $$1}, {/^/ INFO nested} }",
  body_checks: "regexp:{ {/^! *(.*)/ $$1}, {/^%/ INFO long} }",
};

interface Outcome {
  readonly content: string;
  readonly log: readonly string[];
  readonly refusal: string | undefined;
  readonly verdict: ContentVerdict;
}

const tablesOf = (log: Log) =>
  createTableOpener({
    log,
    configDirectory: "/etc/postern",
    files: {
      read(path) {
        throw new TableError(path);
      },
    },
  });

/** The same answers, but later. */
function later(tables: TableOpener): TableOpener {
  return {
    open(ref): LookupTable {
      const table = tables.open(ref);
      return { ref, partialKeys: false, get: async (key) => table.get(key) };
    },
  };
}

interface Setup {
  readonly settings?: Readonly<Record<string, string>>;
  readonly step?: number;
  readonly asynchronous?: boolean;
}

async function inspect(content: string, { settings, step, asynchronous }: Setup = {}): Promise<Outcome> {
  const lines: string[] = [];
  const log = new Log({
    sink: ({ severity, text }) => void lines.push(severity === "info" ? text : `${severity}: ${text}`),
    ...{ now: () => 0, tag: "postfix/cleanup", id: 1 },
  });
  const tables = tablesOf(log);
  const checks = createContentChecks(parametersOf({ ...RULES, ...settings }), asynchronous ? later(tables) : tables);
  assert.ok(checks);
  const verdict = new ContentVerdict({ envelope, recipient: asAddress("b@x.test"), log });
  const inspection = new ContentInspection(checks, verdict);
  const bytes = Buffer.from(content, "latin1");
  const intake = new HeaderIntake();
  const got = intake.push(bytes);
  assert.ok(got.kind === "end", "the header ends");
  const seen = () => undefined;
  const fields = await inspection.header({ fields: parseFields(got.header, 102_400), blank: got.blank, seen });
  const parts = [Buffer.from(fields.map(({ text }) => `${text}\r\n`).join(""), "latin1"), Buffer.from("\r\n")];
  const { rest } = got;
  for (let at = 0; at < rest.length; at += step ?? rest.length) {
    parts.push(Buffer.from(await inspection.body(rest.subarray(at, at + (step ?? rest.length)))));
  }
  parts.push(Buffer.from(await inspection.end()));
  const { refusal } = verdict;
  const log200 = lines.map((line) => line.replaceAll(envelope.queueId, "ID"));
  return {
    content: Buffer.concat(parts).toString("latin1"),
    log: log200,
    refusal: refusal && replyText(refusal),
    verdict,
  };
}

const envelope: Envelope = {
  queueId: formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 }),
  sender: asAddress("a@x.test"),
  ...{ arrivalMs: 0, smtputf8: false, body: "7BIT" },
  origin: { clientName: "c.test", clientAddress: "192.0.2.7", helo: "laptop", protocol: "ESMTP", service: "smtp" },
};
const PARTIES = "from c.test[192.0.2.7]; from=<a@x.test> to=<b@x.test> proto=ESMTP helo=<laptop>";

const changes = [
  { why: "nothing matches", given: "S: x\r\n y\r\n\r\nb\r\n", want: "S: x\r\n y\r\n\r\nb\r\n" },
  { why: "IGNORE, STRIP", given: "A: IGNORE\r\nA: STRIP\r\nS: x\r\n\r\n!IGNORE\r\n!STRIP\r\nb", want: "S: x\r\n\r\nb" },
  {
    why: "PREPEND",
    given: "A: PREPEND X: y\r\n\r\n!PREPEND p\r\n",
    want: "X: y\r\nA: PREPEND X: y\r\n\r\np\r\n!PREPEND p\r\n",
  },
  { why: "REPLACE", given: "A: REPLACE X: y\r\n\r\n!REPLACE p\r\nb\r\n", want: "X: y\r\n\r\np\r\nb\r\n" },
  { why: "REPLACE of a folded field stays folded", given: "A: REPLACE X: y\r\n z\r\n\r\n", want: "X: y\r\n z\r\n\r\n" },
  { why: "REPLACE at the end without line end", given: "S: x\r\n\r\n!REPLACE p", want: "S: x\r\n\r\np" },
  {
    why: "UTF-8 stays",
    given: "A: REPLACE X: \xc3\xa9\r\n\r\n!REPLACE \xc3\xa9\r\n",
    want: "X: \xc3\xa9\r\n\r\n\xc3\xa9\r\n",
  },
  { why: "other bytes stay", given: "A: REPLACE X: \xe9\r\n\r\n!REPLACE \xff\r\n", want: "X: \xe9\r\n\r\n\xff\r\n" },
  {
    why: "fields of a part",
    given:
      "Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\nA: IGNORE\r\nA: REPLACE X: y\r\nZ: z\r\n w\r\n\r\nA: IGNORE\r\n",
    want: "Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\nX: y\r\nZ: z\r\n w\r\n\r\nA: IGNORE\r\n",
  },
  {
    why: "a piece of a long line goes, its end stays",
    given: `S: x\r\n\r\n${"x".repeat(512)}!IGNORE\r\ny\r\n`,
    want: `S: x\r\n\r\n${"x".repeat(512)}\r\ny\r\n`,
  },
];
for (const { why, given, want } of changes) {
  test(`checks change content: ${why}`, async () => {
    const settings = { line_length_limit: "512" };
    for (const setup of [{}, { step: 1 }, { asynchronous: true, step: 7 }]) {
      assert.equal((await inspect(given, { settings, ...setup })).content, want);
    }
  });
}

const logs: readonly { why: string; given: string; want: readonly string[]; settings?: Record<string, string> }[] = [
  { why: "WARN with text", given: "A: WARN hm\r\n\r\n", want: [`ID: warning: header A: WARN hm ${PARTIES}: hm`] },
  { why: "INFO without", given: "A: INFO\r\n\r\n", want: [`ID: info: header A: INFO ${PARTIES}`] },
  { why: "body", given: "S: x\r\n\r\n!WARN\r\n", want: [`ID: warning: body !WARN ${PARTIES}`] },
  {
    why: "folding is shown as ?",
    given: "A: WARN a\r\n\tb\r\n\r\n",
    want: [`ID: warning: header A: WARN a??b ${PARTIES}: a??b`],
  },
  {
    why: "bytes that are no UTF-8",
    given: "A: WARN \xe9\r\n\r\n",
    want: [`ID: warning: header A: WARN ? ${PARTIES}: ?`],
  },
  { why: "a blank before the colon", given: "A : WARN\r\n\r\n", want: [`ID: warning: header A: WARN ${PARTIES}`] },
  { why: "PASS ends it", given: "A: PASS\r\nA: WARN\r\n\r\n!WARN", want: [`ID: pass: header A: PASS ${PARTIES}`] },
  { why: "HOLD is told once", given: "A: HOLD\r\nA: HOLD\r\n\r\n!HOLD", want: [`ID: hold: header A: HOLD ${PARTIES}`] },
  { why: "unknown", given: "A: X\r\n\r\n", want: ["warning: unknown command in header_checks map: X"] },
  {
    why: "fields by class",
    given:
      "Mime-Version: 1\r\nMessage-Id: x\r\nContent-Type: message/rfc822\r\n\r\nMessage-Id: y\r\nMime-Version: 1\r\n\r\n",
    want: [
      `ID: info: header Mime-Version: 1 ${PARTIES}: mime`,
      `ID: info: header Message-Id: x ${PARTIES}: primary`,
      `ID: info: header Content-Type: message/rfc822 ${PARTIES}: mime`,
      `ID: info: header Message-Id: y ${PARTIES}: nested`,
      `ID: info: header Mime-Version: 1 ${PARTIES}: mime`,
    ],
  },
  {
    why: "body_checks_size_limit counts in each part",
    given: "Content-Type: multipart/x; boundary=b\r\n\r\n%1\r\n%2\r\n--b\r\n\r\n%3\r\n%4\r\n",
    settings: { body_checks_size_limit: "4", mime_header_checks: "" },
    want: [`ID: info: body %1 ${PARTIES}: long`, `ID: info: body %3 ${PARTIES}: long`],
  },
  {
    why: "body_checks_size_limit = 0 is no limit",
    given: `S: x\r\n\r\n${"y\r\n".repeat(30_000)}%z`,
    settings: { body_checks_size_limit: "0" },
    want: [`ID: info: body %z ${PARTIES}: long`],
  },
];
for (const { why, given, want, settings = {} } of logs) {
  test(`checks are logged: ${why}`, async () => {
    assert.deepEqual((await inspect(given, { settings })).log, want);
    assert.deepEqual((await inspect(given, { settings, step: 1, asynchronous: given.length < 1000 })).log, want);
  });
}

const refusals = [
  { why: "REJECT", given: "A: REJECT no\r\n\r\n", want: "550 5.7.1 no" },
  { why: "REJECT for now", given: "S: x\r\n\r\n!REJECT 4.2.0 later\r\n", want: "451 4.2.0 later" },
  { why: "the reply is ASCII", given: "A: REJECT caf\xc3\xa9\r\n\r\n", want: "550 5.7.1 caf?" },
  { why: "the first one stands", given: "A: REJECT 1\r\nA: REJECT 2\r\n\r\n!REJECT 3", want: "550 5.7.1 1" },
  { why: "an empty value is a broken table", given: "A:\r\n\r\n", want: "451 4.3.0 Error: queue file write error" },
  {
    why: "a table that fails",
    given: "S: x\r\n\r\nb\r\n",
    settings: { body_checks: "fail:down" },
    want: "451 4.3.0 Error: queue file write error",
  },
  {
    why: "8-bit header",
    given: "S: \xe9\r\n\r\n",
    settings: { strict_7bit_headers: "yes" },
    want: "550 5.6.0 improper use of 8-bit data in message header",
  },
  {
    why: "8-bit body",
    given: "S: x\r\n\r\n\xe9",
    settings: { strict_8bitmime_body: "yes" },
    want: "550 5.6.0 improper use of 8-bit data in message body",
  },
  {
    why: "the worst fault is told",
    given: "S: \xe9\r\n\r\n\xe9",
    settings: { strict_8bitmime: "yes" },
    want: "550 5.6.0 improper use of 8-bit data in message header",
  },
  {
    why: "a rule comes before a fault",
    given: "S: \xe9\r\n\r\n!REJECT no",
    settings: { strict_8bitmime: "yes" },
    want: "550 5.7.1 no",
  },
  {
    why: "encoding domain",
    given: "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    settings: { strict_mime_encoding_domain: "yes" },
    want: "550 5.6.0 invalid message/* or multipart/* encoding domain",
  },
  {
    why: "nesting",
    given: `Content-Type: multipart/x${"; boundary=b".repeat(4)}\r\n\r\n`,
    settings: { mime_nesting_limit: "1" },
    want: "550 5.6.0 MIME nesting exceeds safety limit",
  },
  {
    why: "nothing when MIME is not looked at",
    given: "S: \xe9\r\n\r\n",
    settings: { strict_8bitmime: "yes", disable_mime_input_processing: "yes" },
    want: undefined,
  },
];
for (const { why, given, want, settings = {} } of refusals) {
  test(`checks refuse: ${why}`, async () => {
    assert.equal((await inspect(given, { settings })).refusal, want);
    assert.equal((await inspect(given, { settings, step: 1, asynchronous: true })).refusal, want);
  });
}

test("checks act on the whole message: the last FILTER and REDIRECT count, BCC adds", async () => {
  const given =
    "A: FILTER x:1\r\nA: FILTER x:2\r\nA: BCC a@b.test\r\nA: BCC c@d.test\r\nA: BCC A@B.test\r\nA: HOLD\r\nA: REDIRECT r@s.test\r\n\r\n";
  const { filter, copies, hold, redirect, discard } = (await inspect(given)).verdict;
  assert.deepEqual(
    { filter, copies, hold, redirect, discard },
    {
      ...{ filter: "x:2", copies: ["a@b.test", "c@d.test"], hold: true, redirect: "r@s.test", discard: false },
    },
  );
  assert.equal((await inspect("A: DISCARD\r\nA: REJECT\r\n\r\n!REJECT")).verdict.discard, true);
});

test("behind a rule that ends the matter no field is seen, so none is logged", async () => {
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const checks = createContentChecks(parametersOf(RULES), tablesOf(log));
  assert.ok(checks);
  for (const action of ["REJECT", "DISCARD"]) {
    const inspection = new ContentInspection(checks, new ContentVerdict({ envelope, recipient: undefined, log }));
    const seen: string[] = [];
    const fields = ["S: x", `A: ${action}`, "Message-Id: <y>"].map((text) => ({ name: text.toLowerCase(), text }));
    await inspection.header({ fields, blank: true, seen: ({ text }) => void seen.push(text) });
    assert.deepEqual(seen, ["S: x"]);
  }
});

test("createContentChecks() is nothing where nothing is configured", () => {
  const tables = tablesOf(new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 }));
  const none = [{}, { mime_nesting_limit: "5" }, { ...RULES, receive_override_options: "no_header_body_checks" }];
  for (const settings of none) assert.equal(createContentChecks(parametersOf(settings), tables), undefined);
  assert.ok(createContentChecks(parametersOf({ strict_8bitmime: "yes" }), tables));
  const defaults = createContentChecks(parametersOf({ header_checks: "static:DUNNO" }), tables);
  assert.deepEqual(
    [defaults?.mimeHeader?.name, defaults?.nestedHeader?.name],
    ["mime_header_checks", "nested_header_checks"],
  );
});

test("XFORWARD's client is named, where a content filter hands mail back", async () => {
  const before = envelope.origin;
  const forwarded = {
    ...envelope,
    origin: { ...before, forwarded: { name: "far.test", address: "192.0.2.9", helo: "h" } },
  };
  const lines: string[] = [];
  const log = new Log({ sink: ({ text }) => void lines.push(text), now: () => 0, tag: "t", id: 1 });
  const checks = createContentChecks(parametersOf(RULES), tablesOf(log));
  assert.ok(checks);
  const verdict = new ContentVerdict({ envelope: forwarded, recipient: undefined, log });
  const inspection = new ContentInspection(checks, verdict);
  await inspection.header({ fields: [{ name: "a", text: "A: WARN" }], blank: true, seen: () => undefined });
  assert.deepEqual(lines, [
    `${envelope.queueId}: warning: header A: WARN from far.test[192.0.2.9]; from=<a@x.test> helo=<h>`,
  ]);
});

test("however the body is cut, and whenever tables answer, the outcome is the same", async () => {
  const line = fc.constantFrom(
    "!WARN",
    "!IGNORE",
    "!REPLACE x",
    "!PREPEND y",
    "--b",
    "A: IGNORE",
    "",
    "z\xe9",
    "%".repeat(600),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 20 }), fc.integer({ min: 1, max: 40 }), async (lines, step) => {
      const content = `Content-Type: multipart/x; boundary=b\r\n\r\n${lines.join("\r\n")}\r\n`;
      const settings = { line_length_limit: "512", strict_8bitmime: "yes" };
      const { verdict: _, ...whole } = await inspect(content, { settings });
      const { verdict: __, ...cut } = await inspect(content, { settings, step, asynchronous: step % 2 === 0 });
      assert.deepEqual(cut, whole);
    }),
    { numRuns: 60 },
  );
});
