/** Address rewriting: the same mail through a real Postfix and through Postern, from the same main.cf: what the next hop gets as
 *  envelope and header fields must be the same but for folding, or the difference stands in DIFFERENT with its reason. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const OPTIONS = { concurrency: false, timeout: 240_000, skip: !hasPostfix() && "not installed, or not root" };
const WAIT_MS = 10_000;

const COMMON = `myhostname = mail.example.org
mydomain = example.org
mail_name = Postfix
myorigin = origin.example.org
mynetworks = 127.0.0.0/8
local_header_rewrite_clients = permit_mynetworks
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_reject_unlisted_recipient = no
smtpd_reject_unlisted_sender = no
smtpd_client_connection_count_limit = 0
notify_classes =
smtp_line_length_limit = 0
`;

/** One field of a message each. */
const FIELDS = [
  "From: ann",
  "From: Ann <ann>",
  'From: "Ann, L." <ann@host>',
  "Sender: ann@host.example.org",
  "Reply-To: ann@host.sub.example.org (work)",
  "Return-Receipt-To: ann@example.org",
  "Errors-To: ann@",
  "Disposition-Notification-To: ann",
  "Mail-Followup-To: ann, bob@host",
  "To: ann, bob@host, carl@far.test",
  "To: ann,bob",
  "To: <ann>, <bob@host>",
  "To: Ann <ann>,\r\n\tBob Long Name <bob@host>",
  "Cc: team: ann, bob@host;",
  "Cc: team:;",
  "Cc: undisclosed-recipients:;",
  "Apparently-To: ann",
  "To: site!ann",
  "To: a!b!ann",
  "To: ann%host",
  "To: ann%host%far",
  "To: ann%host@far.test",
  "To: site!ann@far.test",
  "To: @route.test:ann@host",
  "To: <@a,@b:ann@host>",
  'To: "two words"',
  'To: "two words"@host',
  'To: "quo\\"te"@host',
  "To: ann.lee",
  "To: ann@[192.0.2.1]",
  "To: ann@host.",
  "To: ann@host.far.test.",
  "To: ann@HOST.Example.ORG",
  "To: ann+ext@host.example.org",
  "To: root@host.example.org",
  "To: ann@deep.host.example.org",
  "To: ann@keep.example.org",
  "To: ann@notexample.org",
  "To: ann (comment (nested)) <ann@host>",
  "To: ann@host (Ann)",
  "To:",
  "To: ,",
  "To: ann,,bob",
  "To: =?utf-8?q?J=C3=BC?= <ann@host>",
  "Resent-From: ann",
  "Resent-To: ann@host",
  "Resent-Reply-To: ann",
  "X-To: ann",
  "Subject: ann@host",
];

const ENVELOPES = [
  { mail: "ann", rcpt: "bob" },
  { mail: "ann@host", rcpt: "bob@host" },
  { mail: "ann@host.example.org", rcpt: "root@host.example.org" },
  { mail: "ann@deep.host.example.org", rcpt: "bob@keep.example.org" },
  { mail: "ann+x@map.test", rcpt: "bob@map.test" },
  { mail: "", rcpt: "bob%host" },
  { mail: "ann@far.test.", rcpt: "bob@far.test." },
  { mail: "ann@map.test", rcpt: "bob+x@host.example.org" },
  { mail: "ann%host@far.test", rcpt: "site!bob" },
  { mail: '"two words"@host', rcpt: '"a b"@far.test' },
] as const;

interface Group {
  readonly why: string;
  readonly settings: string;
}

const MAPS =
  "inline:{ { ann@origin.example.org = Ann.Lee@far.test }, { ann@map.test = out@far.test }, { @host.example.org = @moved.test } }";

const GROUPS: readonly Group[] = [
  { why: "defaults", settings: "" },
  { why: "append_dot_mydomain = yes", settings: "append_dot_mydomain = yes" },
  { why: "swap_bangpath, allow_percent_hack = no", settings: "swap_bangpath = no\nallow_percent_hack = no" },
  {
    why: "masquerade_domains",
    settings:
      "append_dot_mydomain = yes\nmasquerade_domains = !keep.example.org example.org\nmasquerade_exceptions = root",
  },
  {
    why: "masquerade_classes",
    settings:
      "masquerade_domains = host.example.org example.org\nmasquerade_classes = envelope_recipient, header_recipient",
  },
  { why: "canonical_maps", settings: `append_dot_mydomain = yes\ncanonical_maps = ${MAPS}\nrecipient_delimiter = +` },
  {
    why: "sender_canonical_maps, classes",
    settings: `sender_canonical_maps = ${MAPS}\nsender_canonical_classes = header_sender`,
  },
  {
    why: "recipient_canonical_maps",
    settings: `recipient_canonical_maps = ${MAPS}\nrecipient_delimiter = +\npropagate_unmatched_extensions =`,
  },
  { why: "mail from elsewhere", settings: "append_dot_mydomain = yes\nlocal_header_rewrite_clients =" },
  {
    why: "mail from elsewhere with a domain of its own",
    settings:
      "append_dot_mydomain = yes\nlocal_header_rewrite_clients =\nremote_header_rewrite_domain = domain.invalid",
  },
  { why: "generic maps", settings: `smtp_generic_maps = ${MAPS}\nrecipient_delimiter = +` },
];

interface Subject {
  readonly port: number;
  readonly log: () => string;
  /** Commands and contents that the next hop got. */
  readonly got: string[];
  stop(): Promise<void>;
}

async function startSubject(side: "postfix" | "postern", { settings }: Group): Promise<Subject> {
  const got: string[] = [];
  const keep = (text: string) => void got.push(text);
  const hop: NextHop = await startNextHop({ port: 0, taken: keep, asked: keep });
  const port = await freePort();
  const set = new Set(settings.split("\n").map((line) => line.split(" ")[0]));
  const common = COMMON.split("\n").filter((line) => !set.has(line.split(" ")[0] ?? ""));
  const mainCf = `${common.join("\n")}\nrelayhost = [127.0.0.1]:${hop.port}\n${settings}\n`;
  const server =
    side === "postfix"
      ? new TestPostfix(port, { mainCf })
      : new TestServer({
          // Repairs of its own, which Postfix does not make.
          mainCf: `compatibility_level = 3.6\n${mainCf}\npostern_submission_checks = all:off\n`,
          masterCf: `127.0.0.1:${port} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n`,
        });
  await server.start();
  const stop = async () => {
    await (server instanceof TestPostfix ? server.stop() : server[Symbol.asyncDispose]());
    await hop.close();
  };
  return { port, log: () => server.log(), got, stop };
}

/** What the next hop gets: `MAIL …`, `RCPT …`, then the content. */
async function send(
  subject: Subject,
  words: { mail: string; rcpt: string; content: string },
): Promise<readonly string[]> {
  subject.got.length = 0;
  const client = await Conversation.open(subject.port);
  await client.say("EHLO client.example");
  const said = [await client.say(`MAIL FROM:<${words.mail}>`), await client.say(`RCPT TO:<${words.rcpt}>`)];
  const refused = said.find((reply) => !reply.startsWith("250"));
  if (refused !== undefined) {
    client.close();
    return [refused];
  }
  await client.say("DATA");
  const reply = await client.say(`${words.content}\r\n.`);
  client.close();
  const id = /queued as (\w+)/.exec(reply)?.[1];
  if (id === undefined) return [reply];
  for (const end = Date.now() + WAIT_MS; !subject.log().includes(`${id}: removed`); await sleep(20)) {
    if (Date.now() > end) throw new Error(`Not delivered:\n${subject.log()}`);
  }
  return subject.got.map((text) => text.replace(/^(MAIL FROM:<.*>|RCPT TO:<.*>).*$/, "$1"));
}

/** The field with folding and blanks as one blank, and without blanks around commas: Postfix writes address fields anew,
 *  Postern replaces addresses only. */
function fieldOf(got: readonly string[], name: string): string {
  const content = got.at(-1) ?? "";
  const header = content
    .slice(0, content.indexOf("\r\n\r\n"))
    .replace(/\r\n[ \t]+/g, " ")
    .replace(/ *, */g, ",");
  return header.split("\r\n").find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`)) ?? "(none)";
}

/** What Postern makes otherwise, by field: from Postfix's text to ours. */
const DIFFERENT: ReadonlyMap<string, { readonly reason: string; readonly ours: (postfix: string) => string }> = new Map(
  [
    [
      "To: @route.test:ann@host",
      {
        reason:
          "a route stands in angle brackets (RFC 5322 section 4.4); in front of this colon stands the name of a group",
        ours: (text: string) => text.replace(/^To: (?!@)/, "To: @route.test:"),
      },
    ],
  ],
);

for (const group of GROUPS) {
  describe(`addresses as Postfix rewrites them: ${group.why}`, OPTIONS, () => {
    let subjects: readonly Subject[] = [];
    before(async () => {
      subjects = await Promise.all([startSubject("postfix", group), startSubject("postern", group)]);
    });
    after(async () => {
      for (const subject of subjects) await subject.stop();
    });
    const both = (words: { mail: string; rcpt: string; content: string }) =>
      Promise.all(subjects.map((subject) => send(subject, words)));

    for (const field of FIELDS) {
      test(field, async () => {
        const name = field.slice(0, field.indexOf(":"));
        const [postfix = [], postern = []] = await both({
          ...{ mail: "s@a.test", rcpt: "r@a.test" },
          content: `${field}\r\nDate: x\r\nMessage-Id: <x@y>\r\n\r\nb`,
        });
        const want = fieldOf(postfix, name);
        assert.equal(fieldOf(postern, name), DIFFERENT.get(field)?.ours(want) ?? want);
      });
    }

    for (const { mail, rcpt } of ENVELOPES) {
      test(`envelope <${mail}> <${rcpt}>`, async () => {
        const [postfix = [], postern = []] = await both({ mail, rcpt, content: "Subject: x\r\n\r\nb" });
        assert.deepEqual(postern.slice(0, -1), postfix.slice(0, -1));
      });
    }
  });
}
