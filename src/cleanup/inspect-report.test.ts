/** Delivery reports before checks and Milters: what they see, and what becomes of the report. */
import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { type ScriptedMilter, startMilter } from "../../test/testbed/scripted-milter.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { ComposedMessage } from "../mail/delivery.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import { createOtherMilters } from "../milter/milters.ts";
import { createTableOpener } from "../tables/open.ts";
import { createContentChecks } from "./content-checks.ts";
import { inspectReport, ReportRefused } from "./inspect-report.ts";

const lines: string[] = [];
let said: readonly string[] = [];
const log = new Log({ sink: ({ text }) => lines.push(text), now: () => 0, tag: "postfix/cleanup", id: 1 });
const milter: ScriptedMilter = await startMilter({
  answer: (command) => (command === "E" ? [...said, "c"] : undefined),
});
after(() => milter.close());
beforeEach(() => {
  lines.length = 0;
  milter.events.length = 0;
  said = [];
});

const CONTENT = "Received: by mail\r\n\tid 1\r\nFrom: MAILER-DAEMON\r\nSubject: back\r\n\r\nThe mail\r\n";

const REPORT: ComposedMessage = {
  envelope: {
    ...{ queueId: formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 }), sender: asAddress("") },
    ...{ arrivalMs: 1_795_500_000_123, smtputf8: false, body: "7BIT" },
    origin: {
      clientName: "localhost",
      clientAddress: "127.0.0.1",
      helo: undefined,
      protocol: "SMTP",
      service: "bounce",
    },
  },
  recipients: [asAddress("a@x.test")],
  content: Buffer.from(CONTENT),
};

async function inspect(settings: Readonly<Record<string, string>>): Promise<ComposedMessage | undefined> {
  const params = parametersOf({ myhostname: "mail.example.org", ...settings });
  const tables = createTableOpener({ files: { read: () => Buffer.alloc(0) }, log, configDirectory: "/" });
  const otherMilters = createOtherMilters(params, { deadlines: new Deadlines(systemClock) });
  return inspectReport(REPORT, { params, log, checks: createContentChecks(params, tables), otherMilters });
}

const text = (report: ComposedMessage | undefined) => Buffer.from(report?.content ?? []).toString("latin1");
const MILTERS = { non_smtpd_milters: `inet:127.0.0.1:${milter.port}` };
const check = (action: string) => ({ header_checks: `pcre:{ {/^Subject: back/ ${action}} }` });

test("what nobody objects to stays as it was, byte for byte", async () => {
  assert.equal(text(await inspect({ ...MILTERS, ...check("DUNNO"), body_checks: "static:DUNNO" })), CONTENT);
  assert.deepEqual(
    milter.events.filter((line) => /^[CHMRTLNBE]/.test(line)),
    [
      "C localhost 4 127.0.0.1",
      "H localhost",
      "M",
      "R a@x.test",
      "T",
      "L From MAILER-DAEMON",
      "L Subject back",
      "N",
      "B The mail",
      "E",
    ],
  );
});

test("a Milter changes header, body and recipients, and holds it", async () => {
  said = ["hX-A\x001\0", "bother\r\n", "+<b@x.test>\0", "qlook\0"];
  const report = await inspect(MILTERS);
  assert.equal(text(report), CONTENT.replace("\r\n\r\nThe mail", "\r\nX-A: 1\r\n\r\nother"));
  assert.deepEqual([report?.recipients, report?.hold], [["a@x.test", "b@x.test"], true]);
});

const REFUSALS = [
  {
    settings: check("REJECT no"),
    log: /: reject: header Subject: back from local; from=<> to=<a@x\.test>: 5\.7\.1 no$/,
  },
  { settings: { body_checks: "static:REJECT" }, log: /: reject: body The mail from local;/ },
  { settings: { header_checks: "fail:down" }, log: /header_checks map lookup problem/ },
  { settings: MILTERS, said: ["t"], log: /: milter-reject: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: 4\.7\.1 / },
] as const;

for (const { settings, log: line, ...more } of REFUSALS) {
  test(`a refused report is an error for who wants to send it: ${JSON.stringify(settings)}`, async () => {
    said = "said" in more ? more.said : [];
    await assert.rejects(inspect(settings), ReportRefused);
    assert.ok(
      lines.some((one) => line.test(one)),
      lines.join("\n"),
    );
  });
}

test("DISCARD, FILTER, REDIRECT, REPLACE", async () => {
  assert.equal(await inspect(check("DISCARD")), undefined);
  assert.equal((await inspect(check("FILTER smtp:[127.0.0.1]:1")))?.envelope.filter, "smtp:[127.0.0.1]:1");
  assert.deepEqual((await inspect(check("REDIRECT z@x.test")))?.recipients, ["z@x.test"]);
  assert.match(text(await inspect(check("REPLACE Subject: other"))), /\r\nSubject: other\r\n\r\nThe mail/);
});
