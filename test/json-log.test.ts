/** The fields of a whole session, its delivery and its bounce, as postern_log_format = json has them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const TIMEOUT = { timeout: 60_000 };
const CLIENT = { client_name: "localhost", client_address: "127.0.0.1" };
const LOGIN = { sasl_method: "PLAIN", sasl_username: "ann@example.org" };
const STATE = { from: "ann@example.org", proto: "ESMTP", helo: "pc.test", ...LOGIN };

/** What is logged by smtpd, in order. */
const SMTPD = [
  { event: "connect", ...CLIENT },
  { event: "auth_failed", ...CLIENT, sasl_method: "PLAIN", sasl_username: "ann@example.org", reason: /./ },
  { event: "client", ...CLIENT, ...LOGIN },
  {
    event: "reject",
    ...CLIENT,
    stage: "RCPT",
    ...STATE,
    to: "no@there.test",
    code: 554,
    dsn: "5.7.1",
    reply: "<no@there.test>: Recipient address rejected: Not there",
  },
  { event: "explain", explain: /^\d+\.1$/, rule: /^main\.cf:\d+$/, parameter: /^smtpd_/, restriction: /inline/ },
  {
    event: "disconnect",
    ...CLIENT,
    ehlo: 1,
    ehlo_ok: 1,
    auth: 2,
    auth_ok: 1,
    mail: 1,
    mail_ok: 1,
    rcpt: 3,
    rcpt_ok: 2,
    data: 1,
    data_ok: 1,
    quit: 1,
    quit_ok: 1,
    commands: 9,
    commands_ok: 7,
  },
  { event: "connect", ...CLIENT },
  { event: "lost_connection", ...CLIENT, stage: "EHLO", proto: "ESMTP", helo: "pc.test" },
  { event: "disconnect", ...CLIENT, ehlo: 1, ehlo_ok: 1, commands: 1, commands_ok: 1 },
];

/** What is logged about the message, sorted. */
const MESSAGE = [
  { event: "active", from: "ann@example.org", size: /./, nrcpt: 2 },
  { event: "changes", changes: "Date added (missing; submission), From added (missing; submission)" },
  {
    event: "delivery",
    to: "gone@there.test",
    relay: "none",
    delay: /./,
    delays: /^[\d./]+$/,
    dsn: "5.1.1",
    status: "bounced",
    response: "no such user",
  },
  {
    event: "delivery",
    to: "yes@there.test",
    relay: "none",
    delay: /./,
    delays: /^[\d./]+$/,
    dsn: "2.0.0",
    status: "sent",
    response: "there.test",
  },
  { event: "message_id", message_id: "<1@pc.test>" },
  { event: "notification", kind: "sender non-delivery notification", notification: /^[0-9A-F]{15}$/ },
  { event: "removed" },
];

interface Line {
  readonly tag: string;
  readonly queue_id?: string;
  readonly text: string;
  readonly fields?: Record<string, string | number>;
}

let server: TestServer;
let port: number;

before(async () => {
  port = await freePort();
  server = new TestServer({
    mainCf: `compatibility_level = 3.6
postern_workers = 1
postern_log_format = json
mynetworks =
smtpd_tls_auth_only = no
smtpd_reject_unlisted_recipient = no
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = postern
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{ {no@there.test = REJECT Not there} }, permit
default_transport = discard:there.test
transport_maps = inline:{ {gone@there.test = error:5.1.1 no such user} }
`,
    masterCf: `${port} inet n - n - - smtpd\ndiscard unix - - n - - discard\nerror unix - - n - - error\n`,
  });
  await server.addUser("ann@example.org", "right");
  await server.start();
});
after(() => server?.[Symbol.asyncDispose]());

const plain = (password: string) => Buffer.from(`\0ann@example.org\0${password}`).toString("base64");

test("each event of a session and of its message has its fields", TIMEOUT, async () => {
  const client = await Conversation.open(port);
  const lines = ["EHLO pc.test", `AUTH PLAIN ${plain("wrong")}`, `AUTH PLAIN ${plain("right")}`];
  const mail = ["MAIL FROM:<ann@example.org>", ...["yes", "no", "gone"].map((to) => `RCPT TO:<${to}@there.test>`)];
  for (const line of [...lines, ...mail, "DATA", "Message-ID: <1@pc.test>\r\n\r\ntext\r\n.", "QUIT"]) {
    await client.say(line);
  }
  client.close();
  const gone = await Conversation.open(port);
  await gone.say("EHLO pc.test");
  gone.close();
  await server.logged(/"event":"lost_connection"[\s\S]*"event":"disconnect"/);
  await server.logged(/"event":"notification"[\s\S]*: removed"[\s\S]*: removed"/);
  const log = server.log().trimEnd().split("\n");
  const told = log.map((line) => JSON.parse(line) as Line).filter(({ fields }) => fields !== undefined);
  assertLike(told.filter(({ tag }) => tag === "postfix/smtpd").map(fieldsOf), SMTPD);
  const id = told.find(({ fields }) => fields?.["event"] === "message_id")?.queue_id;
  const message = told.filter(({ tag, queue_id }) => tag !== "postfix/smtpd" && queue_id === id).map(fieldsOf);
  const order = (fields: Fields) => `${fields["event"]} ${fields["to"] ?? ""}`;
  assertLike(
    message.sort((a, b) => (order(a) < order(b) ? -1 : 1)),
    MESSAGE,
  );
});

type Fields = Readonly<Record<string, string | number>>;

function fieldsOf({ fields }: Line): Fields {
  return fields ?? {};
}

/** The same members with the same values; where a pattern is wanted, a value that has it. */
function assertLike(got: readonly Fields[], wanted: readonly Record<string, string | number | RegExp>[]): void {
  const like = (fields: Fields, i: number) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => {
        const want = wanted[i]?.[name];
        return [name, want instanceof RegExp && want.test(String(value)) ? want : value];
      }),
    );
  assert.deepEqual(got.map(like), wanted);
}
