/** Transcripts of SMTP sessions for the postmaster (notify_classes): real sessions on loopback, the mail as it lies in the
 *  maildrop. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parametersOf } from "../src/config/parameters.ts";
import { reply } from "../src/mail/reply.ts";
import { formatSessionNotice } from "../src/master/session-notices.ts";
import { parseSubmission } from "../src/pickup/submission.ts";
import { Transcript, troubleOf } from "../src/smtpd/transcript.ts";
import { startService } from "./dialogues/edges.ts";

const maildrop = mkdtempSync(join(tmpdir(), "postern-notices-"));
after(() => rmSync(maildrop, { recursive: true }));

/** All that the client says, in one piece; then the connection ends. */
async function session(settings: Readonly<Record<string, string>>, lines: readonly string[]): Promise<string[]> {
  const service = await startService({ maildrop, smtpd_forbid_unauth_pipelining: "no", ...settings });
  const socket = net.connect(service.port, "127.0.0.1");
  socket.on("data", () => undefined);
  socket.end(lines.map((line) => `${line}\r\n`).join(""));
  await new Promise((resolve) => socket.on("close", resolve));
  await service.close();
  const files = readdirSync(maildrop).map((name) => join(maildrop, name));
  const mails = files.map((path) => readFileSync(path, "latin1"));
  for (const path of files) rmSync(path);
  return mails;
}

const EHLO = "EHLO client.example";
const SYNTAX = "FROB";

for (const row of [
  { why: "an unknown command", classes: "protocol", lines: [EHLO, SYNTAX, "QUIT"], mails: 1 },
  { why: "a class that nobody wants", classes: "resource, software", lines: [EHLO, SYNTAX, "QUIT"], mails: 0 },
  { why: "no class of sessions at all", classes: "bounce", lines: [EHLO, SYNTAX, "QUIT"], mails: 0 },
  { why: "nothing wrong", classes: "protocol, policy, resource", lines: [EHLO, "NOOP", "QUIT"], mails: 0 },
  {
    why: "no space left",
    classes: "resource, software",
    free: "1",
    lines: [EHLO, "MAIL FROM:<a@example.org>", "QUIT"],
    mails: 1,
  },
]) {
  test(`notify_classes = ${row.classes}: ${row.why}: ${row.mails} mail`, async () => {
    const free = row.free === undefined ? {} : { free: row.free };
    assert.equal((await session({ notify_classes: row.classes, ...free }, row.lines)).length, row.mails);
  });
}

test("a transcript tells who said what, who sends it and to whom, and no password", async () => {
  const secret = Buffer.from("\0joe\0secret").toString("base64");
  const [mail = ""] = await session({ notify_classes: "protocol", notls: "yes" }, [
    EHLO,
    `AUTH PLAIN ${secret}`,
    "AUTH LOGIN",
    secret,
    "FROB",
    SYNTAX,
  ]);
  const head = parseSubmission(Buffer.from(mail.slice(0, mail.indexOf("\n")), "latin1"));
  assert.deepEqual(
    [head?.sender, head?.recipients, head?.notify],
    ["double-bounce@mail.example.org", ["postmaster"], ["NEVER"]],
  );
  assert.match(mail, /\nFrom: MAILER-DAEMON \(Mail Delivery System\)\nTo: postmaster \(Postmaster\)\n/);
  assert.match(mail, /\nSubject: \S+ SMTP server: errors from \S+\[127\.0\.0\.1\]\n/);
  assert.match(mail, /\n\nTranscript of session follows\.\n\nOut: 220 /);
  assert.match(mail, /\nIn: {2}EHLO client\.example\nOut: 250-/);
  assert.match(mail, /\nIn: {2}FROB\nOut: 50\d 5\.5\.\d /);
  assert.match(
    mail,
    /\n\nSession aborted, reason: lost connection\n\nFor other details, see the local mail logfile\n$/,
  );
  assert.ok(!mail.includes(secret), "the password");
});

test("a transcript is bounded, told once, and begins anew where it has become long", () => {
  const told: number[] = [];
  const send = ({ lines }: { lines: readonly string[] }) => told.push(lines.length);
  const transcript = new Transcript({ classes: new Set(["policy"]), flushLines: 3, send });
  const no = reply(550, "5.7.1", "no");
  const say = (times: number) => {
    for (let i = 0; i < times; i++) {
      transcript.heard("RCPT TO:<x@y.test>");
      transcript.said(no, "550 5.7.1 no\r\n");
    }
  };
  say(1);
  transcript.pause("p");
  assert.deepEqual(told, [], "not long yet");
  say(1);
  transcript.pause("p");
  transcript.end("p");
  assert.deepEqual(told, [4]);
  say(100_000);
  transcript.end("p");
  assert.deepEqual(told, [4, 501]);
});

test("a notice is printable, and its lines are short, whatever the client says", () => {
  const lines = [`In:  \r\nBcc: x@y.test\x1b[2J\xff ${"word ".repeat(300)}`];
  const mail = formatSessionNotice(parametersOf({}), { peer: "a\nb[::1]", lines, reason: "timeout" }, 0);
  assert.match(mail, /^[\n\x20-\x7e]*$/);
  assert.doesNotMatch(mail, /^Bcc/m);
  assert.ok(Math.max(...mail.split("\n").map((line) => line.length)) < 100);
});

for (const [code, dsn, want, why] of [
  [452, "4.3.1", "resource", "no space"],
  [421, "4.3.0", "data", "Server local data error"],
  [451, "4.3.0", "software", "an error of ours, or of the queue"],
  [502, "5.5.2", "protocol", "an unknown command"],
  [503, "5.5.1", "protocol", "out of order"],
  [421, "4.4.2", "protocol", "silence"],
  [550, "5.7.1", "policy", "a restriction"],
  [450, "4.7.1", "policy", "a restriction, for now"],
] as const) {
  test(`troubleOf() ${code} ${dsn} is ${want}: ${why}`, () => assert.equal(troubleOf(reply(code, dsn, "x")), want));
}
