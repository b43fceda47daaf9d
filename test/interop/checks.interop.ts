/** header_checks(5): the same rules and the same mail through a real Postfix and through Postern: replies, log lines and what
 *  the next hop gets must be the same but for ids and times, or the difference stands in DIFFERENT with its reason. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import {
  ACTIONS,
  type CheckedMessage,
  DISABLED,
  OUTGOING,
  OVERRIDDEN,
  RULES,
  randomMessages,
  SIZES,
  STRICT,
} from "./checks-messages.ts";

const OPTIONS = { concurrency: false, timeout: 240_000, skip: !hasPostfix() && "not installed, or not root" };
const WAIT_MS = 10_000;

/** What becomes of one message. */
interface Fate {
  readonly reply: string;
  readonly log: readonly string[];
  readonly rcpts: readonly string[];
  readonly contents: readonly string[];
}

interface Subject {
  readonly directory: string;
  readonly port: number;
  readonly log: () => string;
  readonly hop: NextHop;
  /** Commands and contents that the next hop got. */
  readonly got: string[];
  stop(): Promise<void>;
}

const common = (hop: number, prefix: string) => `myhostname = mail.example.org
mydomain = example.org
mail_name = Postfix
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_header_rewrite_clients = permit_mynetworks
smtpd_client_connection_count_limit = 0
notify_classes =
smtp_line_length_limit = 0
relayhost = [127.0.0.1]:${hop}
${Object.keys(RULES)
  .map((name) => `${prefix}${name} = regexp:$config_directory/${name}`)
  .join("\n")}
`;

async function startSubject(side: "postfix" | "postern", { settings, prefix = "" }: Group): Promise<Subject> {
  const got: string[] = [];
  const keep = (text: string) => void got.push(text);
  const hop = await startNextHop({ port: 0, keywords: ["8BITMIME"], taken: keep, asked: keep });
  const port = await freePort();
  const mainCf = `${common(hop.port, prefix)}${settings}`;
  const server =
    side === "postfix"
      ? new TestPostfix(port, { mainCf })
      : new TestServer({
          // Repairs of its own, which Postfix does not make.
          mainCf: `${mainCf}\npostern_submission_checks = all:off\npostern_log_changes = no\n`,
          masterCf: `127.0.0.1:${port} inet n - n - - smtpd\nsmtp unix - - n - - smtp\ndiscard unix - - n - - discard\n`,
        });
  for (const [name, rules] of Object.entries(RULES))
    writeFileSync(join(server.directory, name), `${rules.join("\n")}\n`);
  await server.start();
  const stop = async () => {
    await (server instanceof TestPostfix ? server.stop() : server[Symbol.asyncDispose]());
    await hop.close();
  };
  return { directory: server.directory, port, log: () => server.log(), hop, got, stop };
}

async function send(subject: Subject, content: string, programs: RegExp): Promise<Fate> {
  const start = subject.log().length;
  subject.got.length = 0;
  const client = await Conversation.open(subject.port);
  for (const line of [
    "EHLO client.example",
    "MAIL FROM:<s@a.test>",
    "RCPT TO:<one@b.test>",
    "RCPT TO:<two@b.test>",
    "DATA",
  ]) {
    assert.match(await client.say(line), /^[23]/);
  }
  client.write(Buffer.from(`${content.replace(/^\./gm, "..")}\r\n`, "latin1"));
  const reply = await client.say(".");
  await client.say("QUIT");
  client.close();
  const id = /queued as (\w+)/.exec(reply)?.[1];
  await settled(subject, start, id);
  const log = subject.log().slice(start);
  const queueId = id ?? /(\w+): client=/.exec(log)?.[1] ?? "";
  const plain = (text: string) =>
    text
      .replaceAll(queueId, "QUEUE-ID")
      .replace(/\w{3}, [ \d]\d \w{3} \d{4} [\d:]{8} \+0000 \(UTC\)/g, "DATE")
      .replace(/<\d{14}\./g, "<STAMP.")
      .replace(/\]:\d+,(?: conn_use=\d+,)? delay=.*, delays=[^,]*/g, "]:PORT, DELAYS");
  const { got } = subject;
  return {
    reply: plain(reply),
    log: log
      .split("\n")
      .flatMap((line) => programs.exec(line)?.[1] ?? [])
      // Ours is the line of Postfix 3.10; the other one is of the test's own making.
      .filter((line) => !/: removed \(discarded\)$|overriding earlier entry: /.test(line))
      .map(plain),
    rcpts: got
      .filter((text) => text.startsWith("RCPT TO:"))
      .map((line) => line.replace(/ .*: /, " "))
      .sort(),
    // Postern sends the empty line behind a header also where there is no body, and never the bare LF that Postfix's client
    // makes of a PREPEND with a folded text.
    contents: got
      .filter((text) => !/^(?:RCPT|MAIL) /.test(text))
      .map((text) =>
        plain(text)
          .replace(/(?<!\r)\n/g, "\r\n")
          .replace(/\r\n$/, ""),
      ),
  };
}

/** Until the message has left; a message that is held or discarded has its line in the log before the reply. */
async function settled(subject: Subject, start: number, id: string | undefined): Promise<void> {
  const done = () => {
    const log = subject.log().slice(start);
    return (
      /disconnect from/.test(log) &&
      (id === undefined || new RegExp(`${id}: (?:removed|hold: |discard: |to=<two@.*status=deferred)`).test(log))
    );
  };
  for (const end = Date.now() + WAIT_MS; !done(); await sleep(20)) {
    if (Date.now() > end) throw new Error(`Nothing becomes of the message:\n${subject.log().slice(start)}`);
  }
}

interface Group {
  readonly why: string;
  readonly settings: string;
  readonly messages: readonly CheckedMessage[];
  /** "smtp_": the rules are the client's. */
  readonly prefix?: string;
}

/** Another one makes other messages: SEED=7 node --test … */
const SEED = Number(process.env["SEED"] ?? 1);
const STRICT_MIME = "strict_8bitmime = yes\nstrict_mime_encoding_domain = yes";

const GROUPS: readonly Group[] = [
  { why: "actions and structure", settings: "", messages: ACTIONS },
  {
    why: "strict MIME",
    settings: STRICT_MIME,
    messages: STRICT,
  },
  { why: "body_checks_size_limit = 4", settings: "body_checks_size_limit = 4", messages: SIZES },
  { why: "body_checks_size_limit = 0", settings: "body_checks_size_limit = 0", messages: SIZES },
  { why: "lines at random", settings: STRICT_MIME, messages: randomMessages(60, SEED) },
  { why: "disable_mime_input_processing", settings: "disable_mime_input_processing = yes", messages: DISABLED },
  { why: "no_header_body_checks", settings: "receive_override_options = no_header_body_checks", messages: OVERRIDDEN },
  { why: "the client", settings: "", prefix: "smtp_", messages: OUTGOING },
  { why: "the client, with lines at random", settings: "", prefix: "smtp_", messages: randomMessages(40, SEED + 1) },
  {
    why: "the client, with generic maps",
    settings: "smtp_generic_maps = inline:{ { me@x.test = out@x.test } }",
    prefix: "smtp_",
    messages: OUTGOING,
  },
];

/** What Postern makes otherwise, by message: from Postfix's fate to ours. */
const DIFFERENT: ReadonlyMap<string, (postfix: Fate | undefined) => Fate | undefined> = new Map([
  [
    // A field keeps the bytes it came with; rules see it as Postfix writes it.
    "actions and structure: blanks before the colon",
    (fate) => fate && { ...fate, contents: fate.contents.map((text) => text.replace("A: WARN x", "A : WARN x")) },
  ],
  [
    // Generic maps are for what leaves, also for a field that a rule has made; Postfix goes by the name that it had before.
    "the client, with generic maps: actions",
    (fate) =>
      fate && { ...fate, contents: fate.contents.map((text) => text.replace("From: me@x.test", "From: out@x.test")) },
  ],
]);

for (const group of GROUPS) {
  const programs = group.prefix ? /\/smtp\[\d+\]: (.*)/ : /\/cleanup\[\d+\]: (.*)/;
  describe(`checks as Postfix makes them: ${group.why}`, OPTIONS, () => {
    let subjects: readonly Subject[] = [];
    before(async () => {
      subjects = await Promise.all([startSubject("postfix", group), startSubject("postern", group)]);
    });
    after(async () => {
      for (const subject of subjects) await subject.stop();
    });
    for (const { why: what, content } of group.messages) {
      test(what, async () => {
        const [postfix, postern] = await Promise.all(subjects.map((subject) => send(subject, content, programs)));
        const different = DIFFERENT.get(`${group.why}: ${what}`);
        assert.deepEqual(postern, different ? different(postfix) : postfix);
      });
    }
  });
}
