/** test/interop/milter-scenes.ts: SMTP sessions of which a Milter hears, each with what the Milter asks for and answers: for
 *  milter-events.interop.ts. */
import type { MilterScript } from "../testbed/scripted-milter.ts";

/** The smtpd services that there are, with their options in master.cf. */
export const SERVICES = {
  plain: "",
  xclient: "-o smtpd_authorized_xclient_hosts=127.0.0.1",
  counted: "-o smtpd_client_event_limit_exceptions=",
  early: "-o smtpd_delay_open_until_valid_rcpt=no",
  macros: options(
    "milter_macro_defaults = {none}=nothing, auth_type=guess, { {late} = two words }",
    "milter_connect_macros = j {none}",
    "milter_helo_macros = {late} {auth_type} {never}",
    "milter_mail_macros = i _ {client_connections}",
    "milter_rcpt_macros = {rcpt_addr}",
    "milter_data_macros =",
    "milter_end_of_header_macros = v",
    "milter_end_of_data_macros = j i",
    "milter_unknown_command_macros = v {client_addr}",
  ),
} as const;
export type Service = keyof typeof SERVICES;

function options(...settings: readonly string[]): string {
  return settings.map((setting) => `-o { ${setting} }`).join(" ");
}

export interface Scene {
  readonly why: string;
  readonly service?: Service;
  readonly script?: MilterScript;
  /** While another connection is open. */
  readonly beside?: boolean;
  /** The Milter has said what it thinks of the whole session: Postfix hangs up without goodbye then, we do not. */
  readonly decided?: boolean;
  /** Commands with " | " between them; words in brackets are acts, `(content)` only if it was asked for. */
  readonly talk: string;
}

/** What MILTER_README names of a client, of a session, and of a message. */
const CLIENT = "{client_name} {client_addr} {client_port} {client_ptr} {client_resolve} {client_connections}";
const LOGIN = "{auth_type} {auth_authen} {auth_author} {auth_ssf}";
const TLS = "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}";
const PARTIES = "{mail_addr} {mail_host} {mail_mailer} {rcpt_addr} {rcpt_host} {rcpt_mailer}";
const ALL = `i j v _ {daemon_name} {daemon_addr} {daemon_port} ${CLIENT} ${LOGIN} ${TLS} ${PARTIES}`;
/** Those that Postfix still knows when the content has come; we know all. */
const LATE = `i j v _ {daemon_name} {daemon_addr} {daemon_port} {client_name} {client_port} {client_ptr} ${LOGIN}`;

const asked = (names: string): MilterScript => ({
  macros: { ...{ 0: names, 1: names, 2: names, 3: names, 4: names }, ...{ 5: LATE, 6: LATE } },
});
const ALL_MACROS = asked(ALL);
/** XCLIENT tells Postfix that the name is unknown, not why; we see that it is forged. */
const WITHOUT_RESULT = asked(ALL.replace("{client_resolve} ", ""));

/** SMFIP_*. */
const STEPS = { noReplies: 0xff080, rejectedRecipients: 0x800, nothing: 0x37f };

const answering = (letter: string, ...said: readonly string[]): MilterScript => ({
  answer: (command) => (command === letter ? said : undefined),
});

const MAIL = "MAIL FROM:<a@x.test> | RCPT TO:<b@x.test>";
const MESSAGE = `${MAIL} | DATA | (content)`;
const REFUSED =
  "EHLO c | MAIL FROM:<a@x.test> | RCPT TO:<no@x.test> | RCPT TO:<b@x.test> | RCPT TO:<later@x.test> | RCPT TO:<bad | DATA | (content) | QUIT";

const xclient = (attributes: string) => `EHLO c | XCLIENT ${attributes} | EHLO c | ${MESSAGE} | QUIT`;

const CONVERSATIONS: readonly Scene[] = [
  { why: "one message", talk: `EHLO c | ${MESSAGE} | QUIT` },
  { why: "all macros at each stage", script: ALL_MACROS, talk: `EHLO c | ${MESSAGE} | QUIT` },
  { why: "HELO", talk: "HELO client.test | MAIL FROM:<a@x.test> | QUIT" },
  { why: "greeted twice", talk: "EHLO one.test | EHLO two.test | MAIL FROM:<a@x.test> | HELO three.test | QUIT" },
  { why: "greeted in a message", script: ALL_MACROS, talk: `EHLO c | ${MAIL} | EHLO d | QUIT` },
  {
    why: "parameters",
    talk: "EHLO c | MAIL FROM:<a@x.test>  SIZE=10   BODY=8BITMIME  RET=HDRS | RCPT TO:<b@x.test> NOTIFY=NEVER | QUIT",
  },
  { why: "no sender", talk: "EHLO c | MAIL FROM:<> | RCPT TO:<b@x.test> | QUIT" },
  {
    why: "odd addresses",
    talk: `EHLO c | MAIL FROM:<"a b"@x.test> | RCPT TO:<"c d"@x.test> | RCPT TO: <e@x.test> | RCPT TO:f@x.test | RCPT TO:<postmaster> | RCPT TO:<@y.test:g@x.test> | QUIT`,
  },
  {
    why: "rewritten addresses",
    talk: "EHLO c | MAIL FROM:<old@x.test> | RCPT TO:<old@x.test> | RCPT TO:<b@y.test> | DATA | (content) | QUIT",
  },
  { why: "no domain", talk: "EHLO c | MAIL FROM:<a> | RCPT TO:<b> | QUIT" },
  {
    why: "several recipients",
    script: ALL_MACROS,
    talk: "EHLO c | MAIL FROM:<a@x.test> | RCPT TO:<no@x.test> | RCPT TO:<b@x.test> | RCPT TO:<c@y.test> | FOO | DATA | (content) | FOO | QUIT",
  },
  { why: "RSET", talk: `EHLO c | RSET | MAIL FROM:<a@x.test> | RSET | ${MAIL} | RSET | ${MAIL} | QUIT` },
  { why: "gone in a message", talk: `EHLO c | ${MAIL} | (close)` },
  { why: "gone in the content", talk: `EHLO c | ${MAIL} | DATA | (half) | (close)` },
  { why: "gone before the greeting", talk: "(close)" },
  { why: "several messages", talk: `EHLO c | ${MESSAGE} | ${MESSAGE} | ${MESSAGE} | QUIT` },
  { why: "BDAT", talk: `EHLO c | ${MAIL} | (chunk) | (last chunk) | ${MESSAGE} | QUIT` },
  { why: "commands that are not known", talk: "FOO | EHLO c | FOO bar  baz | MAIL FROM:<a@x.test> | BAR | QUIT" },
  {
    why: "other commands",
    talk: "EHLO c | NOOP | VRFY <b@x.test> | MAIL FROM:<a@x.test> | MAIL FROM:<a@x.test> | DATA | QUIT",
  },
  { why: "a queue file at MAIL", service: "early", talk: `EHLO c | ${MESSAGE} | QUIT` },
  { why: "other macros, and defaults", service: "macros", talk: `FOO | EHLO c | ${MESSAGE} | QUIT` },
  { why: "other macros, and a login", service: "macros", talk: "EHLO c | (login) | EHLO c | QUIT" },
];

const CLIENTS: readonly Scene[] = [
  { why: "TLS", script: ALL_MACROS, talk: `EHLO c | (starttls) | EHLO c | ${MESSAGE} | QUIT` },
  { why: "TLS, macros of its own", talk: `EHLO c | (starttls) | EHLO c | ${MESSAGE} | QUIT` },
  { why: "a certificate", talk: `EHLO c | (starttls device-1) | EHLO c | ${MESSAGE} | QUIT` },
  { why: "a certificate that nobody vouches for", talk: "EHLO c | (starttls self-signed) | EHLO c | QUIT" },
  { why: "a login", script: ALL_MACROS, talk: `EHLO c | (login) | ${MESSAGE} | QUIT` },
  { why: "a login, and AUTH at MAIL", talk: "EHLO c | (login) | MAIL FROM:<a@x.test> AUTH=s@x.test | QUIT" },
  { why: "a login, and AUTH=<>", talk: "EHLO c | (login) | MAIL FROM:<a@x.test> AUTH=<> | QUIT" },
  { why: "a login under TLS", talk: `EHLO c | (starttls) | EHLO c | (login) | ${MESSAGE} | QUIT` },
  { why: "the connections of a client", service: "counted", script: ALL_MACROS, talk: "EHLO c | QUIT" },
  { why: "two connections", service: "counted", beside: true, script: ALL_MACROS, talk: "EHLO c | QUIT" },
  { why: "another client", script: ALL_MACROS, talk: xclient("NAME=c.test ADDR=192.0.2.7 PORT=1234") },
  {
    why: "a client whose name is forged",
    script: WITHOUT_RESULT,
    talk: xclient("NAME=[UNAVAILABLE] REVERSE_NAME=r.test ADDR=192.0.2.7 PORT=1234"),
  },
  {
    why: "a client without name",
    script: ALL_MACROS,
    talk: xclient("NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=1234"),
  },
  {
    why: "a client whose name cannot be told now",
    script: ALL_MACROS,
    talk: xclient("NAME=[TEMPUNAVAIL] REVERSE_NAME=[TEMPUNAVAIL] ADDR=192.0.2.7 PORT=1234"),
  },
  { why: "IPv6", script: ALL_MACROS, talk: xclient("NAME=six.test ADDR=IPV6:2001:db8::7 PORT=1234") },
  { why: "no port", script: ALL_MACROS, talk: xclient("NAME=c.test ADDR=192.0.2.7 PORT=[UNAVAILABLE]") },
  {
    why: "no address",
    script: WITHOUT_RESULT,
    talk: xclient("NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]"),
  },
  { why: "a login that XCLIENT tells", talk: xclient("ADDR=192.0.2.7 LOGIN=bob@x.test") },
].map((scene): Scene => (scene.talk.includes("XCLIENT") ? { ...scene, service: "xclient" } : (scene as Scene)));

const ANSWERS: readonly Scene[] = [
  { why: "a Milter that wants no step", script: { steps: STEPS.nothing }, talk: `FOO | EHLO c | ${MESSAGE} | QUIT` },
  {
    why: "a Milter that does not answer",
    script: { steps: STEPS.noReplies, answer: () => "-" },
    talk: `FOO | EHLO c | ${MAIL} | QUIT`,
  },
  { why: "recipients refused", talk: REFUSED },
  ...["c", "r", "t", "d", "a", "y550 5.1.1 no\0", "4", "f"].map((said) => ({
    why: `recipients refused, which the Milter hears of: ${said.slice(0, 1)}`,
    script: {
      steps: STEPS.rejectedRecipients,
      answer: (command: string, data: Buffer) => (command === "R" && data.includes("<no@") ? said : undefined),
    },
    decided: said === "4",
    talk: REFUSED,
  })),
  {
    why: "discarded by a restriction",
    talk: "EHLO c | MAIL FROM:<a@x.test> | RCPT TO:<b@x.test> | RCPT TO:<drop@x.test> | RCPT TO:<c@x.test> | FOO | DATA | (content) | QUIT",
  },
  ...["M", "R", "T"].map((letter) => ({
    why: `discarded by the Milter at ${letter}`,
    script: answering(letter, "d"),
    talk: `EHLO c | ${MAIL} | RCPT TO:<c@x.test> | FOO | DATA | (content) | ${MESSAGE} | QUIT`,
  })),
  // At an unknown command Postfix takes "accept" for an error.
  ...["C", "H", "M", "R", "T", "E", "U"].flatMap((letter) =>
    (letter === "U" ? ["r", "t"] : ["r", "t", "a"]).map((said) => ({
      why: `${letter}: ${said}`,
      script: answering(letter, said),
      decided: letter === "C" || letter === "H",
      talk: `EHLO c | FOO | ${MAIL} | RCPT TO:<c@x.test> | DATA | (content) | ${MESSAGE} | QUIT`,
    })),
  ),
  ...["y550 5.7.1 100%% %sure%\0", "y450-4.7.1 one\r\n450 4.7.1 two\0", "y250 2.0.0 Ok\0", "y5\0", "s", "f", "z"].map(
    (said) => ({ why: `R: ${said.slice(0, -1)}`, script: answering("R", said), talk: `EHLO c | ${MESSAGE} | QUIT` }),
  ),
  ...["C", "H", "M", "L", "B", "E"].map((letter) => ({
    why: `it hangs up at ${letter}`,
    script: answering(letter, ""),
    talk: `EHLO c | ${MESSAGE} | QUIT`,
  })),
  ...["M", "E"].map((letter) => ({
    why: `it says nothing at ${letter}`,
    script: answering(letter, "-"),
    talk: `EHLO c | ${MESSAGE} | QUIT`,
  })),
];

export const SCENES: readonly Scene[] = [...CONVERSATIONS, ...CLIENTS, ...ANSWERS];
