/** The same mail through a real Postfix and through Postern with smtpd_proxy_filter: what the client is told, what the filter
 *  gets, and the log must be the same but for times, ports and queue ids. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { type FilterScript, ScriptedFilter } from "../testbed/scripted-filter.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const OPTIONS = { concurrency: false, timeout: 240_000, skip: !hasPostfix() && "not installed, or not root" };

const COMMON = `mynetworks = 127.0.0.0/8
mydestination = peer.example.net
myhostname = peer.example.net
myorigin = peer.example.net
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_proxy_timeout = 2s
notify_classes =
`;

const MAIL = ["EHLO cl.test", "MAIL FROM:<a@b.test>", "RCPT TO:<root@peer.example.net>"];
const CONTENT = ["DATA", "Subject: x\r\n\r\nbody\r\n."];
const ONE = [...MAIL, ...CONTENT, "QUIT"];
const XFORWARD = ["XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE", "ENHANCEDSTATUSCODES", "8BITMIME"];
const SPLIT = ["XFORWARD ADDR HELO", "DSN"];
const on =
  (pattern: RegExp, answer: string): NonNullable<FilterScript["answer"]> =>
  (command) =>
    pattern.test(command) ? answer : undefined;

interface Row {
  readonly why: string;
  readonly lines?: readonly string[];
  readonly script?: FilterScript;
  readonly service?: "plain" | "adjusted" | "dead" | "marking";
}

const ROWS: readonly Row[] = [
  { why: "taken" },
  { why: "a filter without XFORWARD", script: { keywords: [] } },
  { why: "a filter with some attributes", script: { keywords: SPLIT } },
  {
    why: "two recipients, parameters, dots",
    lines: [
      "EHLO cl.test",
      "MAIL FROM:<a@b.test> SIZE=10 RET=FULL",
      "RCPT TO:<Root@peer.example.net>",
      "RCPT TO:<postmaster@peer.example.net> NOTIFY=NEVER",
      "DATA",
      "Subject: x\r\n\r\n..dot\r\n...\r\nlast\r\n.",
      "QUIT",
    ],
  },
  { why: "HELO", lines: ["HELO cl.test", ...ONE.slice(1)] },
  { why: "no EHLO in the filter", lines: [...MAIL, "DATA", "QUIT"], script: { answer: on(/^EHLO/, "502 5.5.1 no") } },
  { why: "a refused connection", lines: [...MAIL, "DATA", "QUIT"], script: { greeting: "554 go away" } },
  {
    why: "a refused MAIL",
    lines: [...MAIL, "DATA", "QUIT"],
    script: { keywords: XFORWARD, answer: on(/^MAIL/, "553 5.1.8 bad sender") },
  },
  {
    why: "a refused XFORWARD",
    lines: [...MAIL, "DATA", "QUIT"],
    script: { keywords: XFORWARD, answer: on(/^XFORWARD/, "501 5.5.4 no") },
  },
  {
    why: "one of two recipients refused, in two lines",
    lines: [...MAIL, "RCPT TO:<postmaster@peer.example.net>", ...CONTENT, "QUIT"],
    script: { keywords: XFORWARD, answer: on(/^RCPT TO:<root/, "550-5.1.1 no\r\n550 5.1.1 such user") },
  },
  {
    why: "all recipients refused",
    lines: [...MAIL, "DATA", "QUIT"],
    script: { keywords: XFORWARD, answer: on(/^RCPT/, "450 4.1.1 later") },
  },
  {
    why: "DATA refused",
    lines: [...MAIL, "DATA", "QUIT"],
    script: { keywords: XFORWARD, answer: on(/^DATA/, "451 4.3.0 no data") },
  },
  { why: "the message refused", script: { keywords: XFORWARD, answer: on(/^\.$/, "550 5.7.1 Spam") } },
  { why: "the message refused for now", script: { answer: on(/^\.$/, "451-4.7.1 a\r\n451 4.7.1 b") } },
  { why: "the filter gone at the end", script: { answer: on(/^\.$/, "drop") } },
  { why: "the filter silent at the end", script: { answer: on(/^\.$/, "silence") } },
  { why: "no answer but a word", script: { answer: on(/^\.$/, "hello") } },
  { why: "the filter gone at RCPT", lines: [...MAIL, "QUIT"], script: { answer: on(/^RCPT/, "drop") } },
  { why: "the filter gone at DATA", lines: [...MAIL, "DATA", "QUIT"], script: { answer: on(/^DATA/, "drop") } },
  {
    why: "RSET, and a second message",
    lines: [
      ...MAIL,
      "RSET",
      "MAIL FROM:<>",
      "RCPT TO:<root@peer.example.net>",
      ...CONTENT,
      "MAIL FROM:<c@d.test>",
      "QUIT",
    ],
    script: { keywords: XFORWARD },
  },
  {
    why: "a client that tells of another one",
    lines: ["EHLO cl.test", "XFORWARD NAME=orig.test ADDR=192.0.2.7 HELO=h.test PROTO=SMTP", ...ONE.slice(1)],
    script: { keywords: XFORWARD },
  },
  { why: "BDAT", lines: [...MAIL, "BDAT 7\r\nSubje", "BDAT 7 LAST\r\nct: y", "QUIT"] },
  {
    why: "BDAT, and the message refused",
    lines: [...MAIL, "BDAT 14 LAST\r\nSubject: y\r\n", "QUIT"],
    script: { keywords: XFORWARD, answer: on(/^\.$/, "550 5.7.1 Spam") },
  },
  {
    why: "RSET between chunks",
    lines: [...MAIL, "BDAT 7\r\nSubje", "RSET", "QUIT"],
  },
  { why: "no filter", service: "dead", lines: [...MAIL, "DATA", "QUIT"] },
  { why: "afterwards: taken", service: "adjusted", script: { keywords: XFORWARD } },
  {
    why: "afterwards: a recipient refused",
    service: "adjusted",
    script: { keywords: XFORWARD, answer: on(/^RCPT/, "550 5.1.1 no") },
  },
  {
    why: "afterwards: the message refused",
    service: "adjusted",
    script: { keywords: XFORWARD, answer: on(/^\.$/, "550 5.7.1 Spam") },
  },
  { why: "afterwards: nobody there", service: "adjusted", script: { greeting: "drop" } },
  { why: "actions on the message that a filter takes", service: "marking", script: { keywords: XFORWARD } },
];

const SERVICES: Readonly<Record<NonNullable<Row["service"]>, readonly string[]>> = {
  plain: [],
  adjusted: ["smtpd_proxy_options = speed_adjust"],
  dead: ["smtpd_proxy_filter = 127.0.0.1:9"],
  marking: [
    "smtpd_recipient_restrictions = check_sender_access inline:{{a@b.test = HOLD}}, check_client_access inline:{{127.0.0.1 = PREPEND X-Mark: yes}}, permit",
  ],
};

describe("a before-queue filter as Postfix has it", OPTIONS, () => {
  let sides: { postfix: Side; postern: Side };

  before(async () => {
    const [theirs, ours] = [await ScriptedFilter.start(), await ScriptedFilter.start()];
    const [forPostfix, forPostern] = [await servicePorts(), await servicePorts()];
    const postfix = new TestPostfix(await freePort(), {
      mainCf: `${COMMON}smtpd_proxy_filter = 127.0.0.1:${theirs.port}`,
      smtpdOptions: masterCf(forPostfix),
    });
    const postern = new TestServer({
      mainCf: `${COMMON}smtpd_proxy_filter = 127.0.0.1:${ours.port}\nmail_name = Postfix\npostern_explain_log = no`,
      masterCf: masterCf(forPostern),
    });
    sides = {
      postfix: { filter: theirs, ports: forPostfix, log: () => postfix.log(), stop: async () => postfix.stop() },
      postern: {
        filter: ours,
        ports: forPostern,
        log: () => postern.log(),
        stop: () => postern[Symbol.asyncDispose](),
      },
    };
    await Promise.all([postfix.start(), postern.start()]);
  });
  after(async () => {
    for (const { filter, stop } of Object.values(sides)) {
      await stop();
      await filter[Symbol.asyncDispose]();
    }
  });

  for (const row of ROWS) {
    test(row.why, async () => {
      const [theirs, ours] = await Promise.all([talk(sides.postfix, row), talk(sides.postern, row)]);
      assert.deepEqual(ours, theirs);
    });
  }
});

interface Side {
  readonly filter: ScriptedFilter;
  readonly ports: ReadonlyMap<string, number>;
  log(): string;
  stop(): Promise<void>;
}

async function servicePorts(): Promise<ReadonlyMap<string, number>> {
  const ports = new Map<string, number>();
  for (const name of Object.keys(SERVICES)) ports.set(name, await freePort());
  return ports;
}

function masterCf(ports: ReadonlyMap<string, number>): string {
  const lines = [...ports].map(([name, port]) => {
    const options = SERVICES[name as "plain"].map((setting) => `  -o { ${setting} }\n`);
    return `127.0.0.1:${port} inet n - n - - smtpd\n${options.join("")}`;
  });
  return lines.join("");
}

async function talk(
  { filter, ports, log }: Side,
  { lines = ONE, script = { keywords: XFORWARD }, service = "plain" }: Row,
) {
  filter.script = script;
  const before = { commands: filter.commands.length, contents: filter.contents.length, log: log().length };
  const client = await Conversation.open(ports.get(service) ?? 0);
  const replies: string[] = [];
  for (const line of lines) replies.push(await client.say(line));
  client.close();
  const said = () => log().slice(before.log);
  await eventually(async () => assert.match(said(), /disconnect from/));
  await eventually(async () => assert.equal(filter.sessions, 0));
  return {
    // EHLO differs by CHUNKING, which is not offered here.
    replies: replies.slice(1).map(normal),
    commands: filter.commands.slice(before.commands).map(normal),
    contents: filter.contents.slice(before.contents).map(normal),
    log: said().split("\n").flatMap(smtpdLine),
  };
}

function smtpdLine(line: string): readonly string[] {
  const text = /\/smtpd\[\d+\]: (.*)$/.exec(line)?.[1];
  return text === undefined || /^(?:dis)?connect from/.test(text) ? [] : [normal(text)];
}

function normal(text: string): string {
  return text
    .replace(/PORT=\d+/g, "PORT=N")
    .replace(/127\.0\.0\.1:\d{2,5}/g, "FILTER")
    .replace(/\w{3}, \d+ \w{3} \d{4} [\d:]+ \+0000 \(UTC\)/g, "DATE");
}
