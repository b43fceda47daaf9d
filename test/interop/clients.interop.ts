/** Real clients through 587 (STARTTLS) and 465: received bytes equal sent bytes but for added header fields; a wrong
 *  password gets a clear refusal. */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import nodemailer from "nodemailer";
import { type Ran, runProgram } from "../testbed/program.ts";
import { LOGIN, PASSWORD, type Site, startSite } from "../testbed/submission-site.ts";

interface Attempt {
  readonly site: Site;
  readonly mode: "587" | "465";
  readonly password: string;
  /** CRLF lines, latin1 text of the bytes. */
  readonly message: string;
}

const TO = "friend@elsewhere.test";

const CLIENTS: Readonly<Record<string, (attempt: Attempt) => Promise<Ran>>> = {
  swaks: ({ site, mode, password, message }) =>
    runProgram(
      "swaks",
      [
        ...["--server", `127.0.0.1:${mode === "587" ? site.submission : site.submissions}`],
        ...(mode === "587" ? ["--tls"] : ["--tlsc"]),
        ...["--auth", "PLAIN", "--auth-user", LOGIN, "--auth-password", password, "--from", LOGIN, "--to", TO],
        ...["--data", "-"],
      ],
      Buffer.from(message.replaceAll("\r\n", "\n"), "latin1"),
    ),
  msmtp: ({ site, mode, password, message }) => {
    const config = join(site.server.directory, "msmtprc");
    writeFileSync(
      config,
      `account default\nhost localhost\nport ${mode === "587" ? site.submission : site.submissions}
tls on\ntls_starttls ${mode === "587" ? "on" : "off"}\ntls_trust_file ${site.server.directory}/ca.pem
auth on\nuser ${LOGIN}\npassword "${password}"\nfrom ${LOGIN}\n`,
    );
    chmodSync(config, 0o600);
    return runProgram("msmtp", ["-C", config, TO], Buffer.from(message.replaceAll("\r\n", "\n"), "latin1"));
  },
  curl: ({ site, mode, password, message }) => {
    const url = mode === "587" ? `smtp://127.0.0.1:${site.submission}` : `smtps://127.0.0.1:${site.submissions}`;
    const tls = mode === "587" ? ["--ssl-reqd"] : [];
    const envelope = ["--mail-from", LOGIN, "--mail-rcpt", TO, "-T", "-"];
    return runProgram(
      "curl",
      ["-sv", "-k", ...tls, url, "-u", `${LOGIN}:${password}`, ...envelope],
      Buffer.from(message, "latin1"),
    );
  },
  smtplib: ({ site, mode, password, message }) =>
    runProgram(
      "python3",
      ["-c", PYTHON, mode, String(mode === "587" ? site.submission : site.submissions), LOGIN, password, TO],
      Buffer.from(message, "latin1"),
    ),
  nodemailer: async ({ site, mode, password, message }) => {
    const transport = nodemailer.createTransport({
      host: "127.0.0.1",
      port: mode === "587" ? site.submission : site.submissions,
      secure: mode === "465",
      requireTLS: mode === "587",
      tls: { rejectUnauthorized: false },
      auth: { user: LOGIN, pass: password },
    });
    try {
      const sent = await transport.sendMail({
        envelope: { from: LOGIN, to: [TO] },
        raw: Buffer.from(message, "latin1"),
      });
      return { code: 0, output: sent.response };
    } catch (error) {
      return { code: 1, output: (error as Error).message };
    } finally {
      transport.close();
    }
  },
};

const PYTHON = `
import smtplib, ssl, sys
mode, port, login, password, to = sys.argv[1:]
context = ssl._create_unverified_context()
if mode == "465":
    s = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context)
else:
    s = smtplib.SMTP("127.0.0.1", int(port)); s.starttls(context=context)
s.login(login, password)
s.sendmail(login, [to], sys.stdin.buffer.read(), mail_options=["BODY=8BITMIME"])
s.quit()
`;

const head = (subject: string) =>
  `From: ${LOGIN}\r\nTo: ${TO}\r\nSubject: ${subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${subject}@example.org>\r\n`;
const MIME = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=";
const MESSAGES: readonly { readonly name: string; readonly extra: string; readonly body: string }[] = [
  { name: "ascii", extra: "", body: "plain text\r\n.leading dot\r\n..two\r\n\r\nend\r\n" },
  { name: "latin1", extra: `${MIME}iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n`, body: "gr\xfc\xdfe \xff\r\n" },
  {
    name: "utf8",
    extra: `${MIME}utf-8\r\nContent-Transfer-Encoding: 8bit\r\n`,
    body: Buffer.from("Größe 試験 🏰\r\n").toString("latin1"),
  },
];

describe("real clients", { concurrency: false }, () => {
  let site: Site;
  before(async () => {
    site = await startSite();
  });
  after(() => site?.stop());

  for (const [name, send] of Object.entries(CLIENTS)) {
    for (const mode of ["587", "465"] as const) {
      for (const message of MESSAGES) {
        test(`${name} through ${mode}: ${message.name}`, async () => {
          const subject = `${name}-${mode}-${message.name}`;
          const sent = `${head(subject)}${message.extra}\r\n${message.body}`;
          const ran = await send({ site, mode, password: PASSWORD, message: sent });
          assert.equal(ran.code, 0, ran.output);
          const got = await site.arrived(`Subject: ${subject}\r\n`);
          const own = got.indexOf(sent.slice(0, 20));
          assert.match(got.slice(0, own), /^Received: from [\s\S]*\r\n\t\(using TLSv1\.\d with cipher/);
          assert.match(got.slice(0, own), /with ESMTPSA id/);
          const body = got.slice(own);
          // Some clients end the data with one more empty line; nothing else may differ.
          assert.equal(`${body}\r\n`.replace(/(?:\r\n)+$/, "\r\n"), sent);
        });
      }
      test(`${name} through ${mode}: a wrong password is refused clearly`, async () => {
        const ran = await send({ site, mode, password: "wrong", message: `${head("wrong")}\r\nx\r\n` });
        assert.notEqual(ran.code, 0);
        assert.match(ran.output, /535|[Aa]uthentication fail|login denied|[Aa]ccess denied/i);
        await site.server.logged(
          /SASL (?:PLAIN|LOGIN|CRAM-MD5|SCRAM-SHA-256) authentication failed: .*sasl_username=alice@example\.org/,
        );
      });
    }
  }
});
