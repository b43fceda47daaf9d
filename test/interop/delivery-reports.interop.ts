/** The same mail through a real Postfix and through Postern: what next hops are asked, and the reports that come back,
 *  must be the same but for ids, times and our own words in the first part. */
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const OPTIONS = { concurrency: false, timeout: 120_000, skip: !hasPostfix() && "not installed, or not root" };
const WAIT_MS = 20_000;

const COMMON = `mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
notify_classes = bounce, 2bounce, delay
delay_warning_time = 1s
minimal_backoff_time = 1s
queue_run_delay = 1s
bounce_notice_recipient = postmaster@back.test
2bounce_notice_recipient = twice@back.test
delay_notice_recipient = slow@back.test
`;

interface Subject {
  readonly port: number;
  /** MAIL and RCPT at the hops that know DSN and that do not. */
  readonly asked: string[];
  /** What came back, by subject and recipient. */
  readonly reports: string[];
}

interface Row {
  readonly why: string;
  readonly mail: string;
  readonly rcpts: readonly string[];
  /** Commands at next hops, and reports, to wait for. */
  readonly asked: number;
  readonly reports: number;
}

const ROWS: readonly Row[] = [
  {
    why: "parameters at a hop that knows DSN",
    mail: "<me@back.test> RET=HDRS ENVID=QQ+2B1+20x",
    rcpts: [
      "<a@modern.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2BX@Example.ORG",
      "<o+x@modern.test>",
      "<u@modern.test> ORCPT=utf-8;a\\x{E9}b@x.test NOTIFY=NEVER",
      '<"two words"@modern.test> NOTIFY=DELAY',
    ],
    asked: 5,
    reports: 0,
  },
  {
    why: "success at a hop that does not",
    mail: "<me@back.test> ENVID=E1",
    rcpts: ["<a@old.test> NOTIFY=SUCCESS ORCPT=rfc822;orig@x.test", "<b@old.test>", "<c@old.test> NOTIFY=FAILURE"],
    asked: 4,
    reports: 1,
  },
  {
    why: "failure, and a copy for the postmaster",
    mail: "<me@back.test>",
    rcpts: ["<a@refused.test> ORCPT=rfc822;orig@x.test", "<n@refused.test> NOTIFY=NEVER"],
    asked: 0,
    reports: 2,
  },
  { why: "failure, headers only", mail: "<me@back.test> RET=HDRS", rcpts: ["<a@refused.test>"], asked: 0, reports: 2 },
  { why: "a bounce that bounces", mail: "<>", rcpts: ["<a@refused.test>"], asked: 0, reports: 1 },
  {
    why: "delay, and a copy for the postmaster",
    mail: "<me@back.test>",
    rcpts: ["<a@slow.test>"],
    asked: 0,
    reports: 2,
  },
  {
    why: "failure of SMTPUTF8 mail",
    mail: "<me@back.test> SMTPUTF8",
    rcpts: ["<\u65e5\u672c@refused.test>"],
    asked: 0,
    reports: 2,
  },
];

describe("delivery reports of Postfix and of Postern", OPTIONS, () => {
  const hops: NextHop[] = [];
  let postfix: TestPostfix;
  let postern: TestServer;
  let subjects: readonly [Subject, Subject];

  /** Hops of one server's own, so that it is known who asked. */
  const makeHops = async (): Promise<Omit<Subject, "port"> & { readonly transports: string }> => {
    const asked: string[] = [];
    const reports: string[] = [];
    const hop = async (name: string, options: Partial<Parameters<typeof startNextHop>[0]>) => {
      const next = await startNextHop({ port: 0, ...options });
      hops.push(next);
      return `{ ${name}.test = smtp:[127.0.0.1]:${next.port} }`;
    };
    const keywords = ["DSN", "8BITMIME", "SMTPUTF8"];
    const ask = (command: string) => void asked.push(command);
    const parts = [
      await hop("modern", { keywords, asked: ask }),
      await hop("old", { asked: ask }),
      await hop("refused", { keywords, refusal: "550-5.1.1 No such user\r\n550 5.1.1 here" }),
      await hop("slow", { refusal: "450 4.2.0 Try later" }),
      await hop("back", { keywords, taken: (content) => void reports.push(content) }),
    ];
    return { asked, reports, transports: `transport_maps = inline:{ ${parts.join(" ")} }\n` };
  };

  before(async () => {
    const [theirs, ours] = [await makeHops(), await makeHops()];
    postfix = new TestPostfix(await freePort(), { mainCf: COMMON + theirs.transports });
    await postfix.start();
    const port = await freePort();
    postern = new TestServer({
      mainCf: `compatibility_level = 3.6\n${COMMON}${ours.transports}postern_workers = 1\nmydestination = peer.example.net`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    appendFileSync(join(postern.directory, "main.cf"), "myhostname = peer.example.net\nmydomain = example.net\n");
    await postern.start();
    subjects = [
      { ...theirs, port: postfix.port },
      { ...ours, port },
    ];
  });
  after(async () => {
    await postern?.[Symbol.asyncDispose]();
    postfix?.stop();
    for (const hop of hops) await hop.close();
  });

  const play = async ({ port, asked, reports }: Subject, row: Row) => {
    asked.length = 0;
    reports.length = 0;
    const client = await Conversation.open(port);
    assert.match(await client.say("EHLO client.example"), /^250-DSN\r?$/m);
    for (const command of [`MAIL FROM:${row.mail}`, ...row.rcpts.map((rcpt) => `RCPT TO:${rcpt}`)]) {
      assert.match(await client.say(command), /^250 /, command);
    }
    assert.match(await client.say("DATA"), /^354 /);
    const reply = await client.say(
      "From: me@back.test\r\nSubject: hi\r\nMessage-ID: <m@x>\r\nDate: x\r\n\r\nbody\r\n.",
    );
    assert.match(reply, /^250 /);
    client.close();
    const end = Date.now() + WAIT_MS;
    while (asked.length < row.asked || reports.length < row.reports) {
      assert.ok(Date.now() < end, `${row.why}:\n${asked.join("\n")}\n${reports.join("\n")}\n${postern.log()}`);
      await sleep(30);
    }
    await sleep(300); // whatever should not come would come now
    return { asked: [...asked].map(plain).sort(), reports: [...reports].map(comparable).sort() };
  };

  for (const row of ROWS) {
    test(row.why, async () => {
      const [theirs, ours] = [await play(subjects[0], row), await play(subjects[1], row)];
      assert.deepEqual(ours.asked, theirs.asked);
      assert.deepEqual(ours.reports, theirs.reports);
      assert.equal(ours.reports.length, row.reports);
    });
  }
});

/** BODY depends on what a message is made of, which differs. */
function plain(command: string): string {
  return command.replace(/ (?:SIZE|BODY)=\S+/g, "");
}

/** A report without what must differ: ids, times, the software's name, the text for people, and its encoding. */
function comparable(report: string): string {
  const boundary = /boundary="([^"]+)"/.exec(report)?.[1] ?? "";
  const [head = "", preamble = "", ...parts] = report.split(`--${boundary}`);
  return (
    [head.slice(head.indexOf("Date: ")), preamble, ...parts]
      .map((part, i) => (i === 1 ? part.replace(/(\r\n\r\n)[\s\S]*?(?=\r\n<[^>\r\n]+>)/, "$1") : part))
      .join("--BOUNDARY")
      .replaceAll(boundary, "BOUNDARY")
      .replace(/^Received: [^\r]*(?:\r\n\t[^\r]*)*\r\n/gm, "")
      .replace(/^Content-Transfer-Encoding: 8bit\r\n/gm, "")
      .replace(/charset=(?:us-ascii|utf-8)/, "charset=ANY")
      .replace(/\w{3}, \d{2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000 \(UTC\)/g, "DATE")
      .replace(/<\d{14}\.\w+@/, "<STAMP@")
      .replace(/(delivery via \S+\]):\d+:/g, "$1:PORT:")
      // Postfix 3.7 calls a UTF-8 address rfc822 where ORCPT was not given; RFC 6533 §3 does not.
      .replace(/^Original-Recipient: (?:rfc822|utf-8);(?=.*[\x80-\xff])/gm, "Original-Recipient: ANY;")
      .replace(/X-Postfix-Queue-ID: \w+/, "X-Postfix-Queue-ID: ID")
  );
}
