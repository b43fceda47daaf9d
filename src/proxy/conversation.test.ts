/** Tests of the conversation with a before-queue filter over real sockets, direct and afterwards. What a session makes of the
 *  answers is compared with a real Postfix in test/interop/before-queue-filter.interop.ts. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { type FilterScript, ScriptedFilter } from "../../test/testbed/scripted-filter.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { ParameterError, parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { replyText } from "../mail/reply.ts";
import { createBeforeQueueFilter } from "./create.ts";
import type { FilterAnswer } from "./filter.ts";

const MAIL = "MAIL FROM:<a@b.test>";
const RCPT = "RCPT TO:<x@y.test>";
const ORIGIN = {
  name: "pc.test",
  address: "192.0.2.7",
  port: 99,
  helo: "pc",
  protocol: "ESMTP",
  source: "local",
} as const;
const BROKEN = "no: 451 4.3.0 Error: queue file write error";

describe("a before-queue filter", { concurrency: false }, () => {
  const directory = mkdtempSync(join(tmpdir(), "proxy-"));
  let peer: ScriptedFilter;
  let lines: string[] = [];
  before(async () => {
    peer = await ScriptedFilter.start();
  });
  after(async () => {
    await peer[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  const open = async (script: FilterScript, settings: Readonly<Record<string, string>> = {}) => {
    while (peer.sessions > 0) await systemClock.sleep(1); // the last words of the test before
    peer.script = script;
    peer.commands.length = 0;
    peer.contents.length = 0;
    peer.received = "";
    lines = [];
    const log = new Log({ sink: ({ text }) => void lines.push(text), now: () => 0, tag: "t", id: 1 });
    const filter = createBeforeQueueFilter(
      parametersOf({ smtpd_proxy_filter: `127.0.0.1:${peer.port}`, smtpd_proxy_timeout: "1s", ...settings }),
      { deadlines: new Deadlines(systemClock), directory },
    );
    assert.ok(filter);
    return filter.open({ mail: MAIL, origin: ORIGIN, log });
  };

  const said = ({ accepted, reply }: FilterAnswer) => `${accepted ? "yes" : "no"}: ${replyText(reply)}`;

  /** The answers to MAIL (undefined: taken), RCPT, DATA, the end, as far as they are asked for. */
  const converse = async (script: FilterScript, settings: Readonly<Record<string, string>> = {}) => {
    const opened = await open(script, settings);
    if ("refused" in opened) return [said({ accepted: false, reply: opened.refused })];
    const { mail } = opened;
    const answers = [await mail.recipient(RCPT)];
    if (answers.at(-1)?.accepted) answers.push(await mail.begin());
    if (answers.at(-1)?.accepted) {
      const slow = mail.write(Buffer.from("a\r\n.b\r\n"));
      if (slow) await slow;
      if (answers.length === 2) answers.push(await mail.end());
    }
    mail.close();
    return answers.map(said);
  };

  const answering = (pattern: RegExp, text: string): FilterScript => ({
    answer: (command) => (pattern.test(command) ? text : undefined),
  });
  const ROWS: readonly { readonly why: string; readonly script: FilterScript; readonly want: readonly string[] }[] = [
    {
      why: "takes all, one byte at a time",
      script: { slow: true, keywords: ["XFORWARD NAME"] },
      want: ["yes: 250 2.0.0 Ok", "yes: 354 End data with <CR><LF>.<CR><LF>", "yes: 250 2.0.0 Ok: filtered"],
    },
    {
      why: "250 to DATA is no refusal that a client could be told",
      script: answering(/^DATA/, "250 Ok"),
      want: ["yes: 250 2.0.0 Ok", BROKEN],
    },
    {
      why: "354 to the end is no success",
      script: answering(/^\.$/, "354 More"),
      want: ["yes: 250 2.0.0 Ok", "yes: 354 End data with <CR><LF>.<CR><LF>", BROKEN],
    },
    { why: "354 to RCPT is no success", script: answering(/^RCPT/, "354 More"), want: [BROKEN] },
    { why: "an answer without end", script: answering(/^RCPT/, "250-x\r\n".repeat(200)), want: [BROKEN] },
    {
      why: "words between the lines are skipped",
      script: answering(/^RCPT/, "550-a\r\nhello\r\n550 b"),
      want: ["no: 550 a b"],
    },
    { why: "controls in an answer", script: answering(/^RCPT/, "550 a\x07b"), want: ["no: 550 a?b"] },
    { why: "gone while it greets", script: { greeting: "drop" }, want: [BROKEN] },
    { why: "silent at MAIL", script: answering(/^MAIL/, "silence"), want: [BROKEN] },
  ];
  for (const { why, script, want } of ROWS) {
    test(`the answers of a filter: ${why}`, async () => assert.deepEqual(await converse(script), want));
  }

  test("XFORWARD says what the filter wants to know; long values are split over commands", async () => {
    await converse({ keywords: ["XFORWARD HELO SOURCE", "SIZE"] });
    assert.deepEqual(peer.commands.slice(0, 3), ["EHLO mail.example.org", "XFORWARD HELO=pc SOURCE=LOCAL", MAIL]);
  });

  test("a conversation that ends within the content is broken off: no QUIT, no dot", async () => {
    const opened = await open({});
    assert.ok("mail" in opened);
    await opened.mail.recipient(RCPT);
    await opened.mail.begin();
    const slow = opened.mail.write(Buffer.from("half of a mess"));
    if (slow) await slow;
    opened.mail.close();
    assert.equal(said(await opened.mail.end()), BROKEN);
    while (peer.sessions > 0) await systemClock.sleep(5);
    assert.deepEqual(peer.contents, []);
    assert.match(peer.received, /\r\nDATA\r\nhalf of a mess$/);
  });

  test("afterwards: the first refusal is the answer, and the temporary file is gone", async () => {
    const adjusted = { smtpd_proxy_options: "speed_adjust" };
    const refused = await converse(answering(/^RCPT/, "550 5.1.1 no"), adjusted);
    assert.equal(refused.at(-1), "no: 550 5.1.1 no");
    assert.deepEqual(refused.slice(0, 2), ["yes: 250 Ok", "yes: 250 Ok"]);
    assert.equal((await converse({}, adjusted)).at(-1), "yes: 250 2.0.0 Ok: filtered");
    assert.deepEqual(peer.contents, ["a\r\n..b"]);
    assert.deepEqual(readdirSync(directory), []);
  });

  test("afterwards: without room for the file DATA is refused for now", async () => {
    rmSync(directory, { recursive: true });
    assert.deepEqual(await converse({}, { smtpd_proxy_options: "speed_adjust" }), ["yes: 250 Ok", BROKEN]);
    assert.match(lines.join("\n"), /open before-queue content file: ENOENT/);
  });

  test("any content in any pieces arrives as it is", async () => {
    const line = fc.string({ unit: fc.constantFrom(".", "a", " "), maxLength: 5 });
    const content = fc.array(line, { maxLength: 6 }).map((all) => all.map((one) => `${one}\r\n`).join(""));
    await fc.assert(
      fc.asyncProperty(content, fc.integer({ min: 1, max: 7 }), async (text, size) => {
        const opened = await open({});
        assert.ok("mail" in opened);
        const { mail } = opened;
        await mail.recipient(RCPT);
        await mail.begin();
        for (let at = 0; at < text.length; at += size) {
          const slow = mail.write(Buffer.from(text.slice(at, at + size)));
          if (slow) await slow;
        }
        assert.equal((await mail.end()).accepted, true);
        mail.close();
        const unstuffed = (peer.contents[0] ?? "").split("\r\n").map((one) => one.replace(/^\./, ""));
        assert.equal(text === "" ? "" : `${unstuffed.join("\r\n")}\r\n`, text);
      }),
      { numRuns: 60 },
    );
  });
});

const ADDRESSES = [
  { value: "127.0.0.1:10025", good: true },
  { value: "inet:localhost:10025", good: true },
  { value: "[::1]:10025", good: true },
  { value: "10025", good: true },
  { value: "unix:private/filter", good: true },
  { value: "unix:", good: false },
  { value: "filter.test", good: false },
  { value: "inet:host:", good: false },
  { value: "host:0", good: false },
];
for (const { value, good } of ADDRESSES) {
  test(`smtpd_proxy_filter = ${value} is ${good ? "an address" : "an error"}`, () => {
    const read = () => parametersOf({ smtpd_proxy_filter: value }).get("smtpd_proxy_filter");
    if (good) assert.equal(read(), value);
    else assert.throws(read, ParameterError);
  });
}
