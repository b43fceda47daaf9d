/** test/testbed/submission-site.ts: a site as operators run it: submission with STARTTLS and AUTH, submissions with implicit
 *  TLS, mx; everything goes to a sink that keeps what it gets. */
import { setTimeout as sleep } from "node:timers/promises";
import { type DemoSink, startDemoSink } from "../../src/net/demo-sink.ts";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { freePort, TestServer } from "./server.ts";

export interface Site {
  readonly server: TestServer;
  readonly submission: number;
  readonly submissions: number;
  readonly smtp: number;
  /** Next message the sink gets whose content has this text; latin1, so one character is one byte. */
  arrived(text: string): Promise<string>;
  stop(): Promise<void>;
}

export const LOGIN = "alice@example.org";
export const PASSWORD = "correct horse";

export async function startSite(
  options: { readonly mainCf?: string; readonly relayhost?: string } = {},
): Promise<Site> {
  const taken: string[] = [];
  const sink: DemoSink = await startDemoSink(0, (content) => taken.push(content));
  const [submission, submissions, smtp] = [await freePort(), await freePort(), await freePort()];
  const made = makeSelfSigned(["mail.example.org", "localhost"], Date.now());
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10
relayhost = ${options.relayhost ?? `[127.0.0.1]:${sink.port}`}
mydestination = example.org
local_recipient_maps =
mynetworks =
smtpd_sasl_type = postern
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
${options.mainCf ?? ""}`,
    masterCf: `${smtp} inet n - n - - smtpd
${submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
${submissions} inet n - n - - smtpd
  -o syslog_name=postfix/submissions -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
`,
    files: { "site.pem": made.keyPem + made.certificatePem, "ca.pem": made.certificatePem },
  });
  server.append("main.cf", `smtpd_tls_chain_files = ${server.directory}/site.pem\n`);
  await server.addUser(LOGIN, PASSWORD, ["--cram-md5"]);
  await server.start();
  return {
    server,
    submission,
    submissions,
    smtp,
    async arrived(text) {
      for (const end = Date.now() + 10_000; Date.now() < end; await sleep(20)) {
        const at = taken.findIndex((content) => content.includes(text));
        if (at >= 0) return taken.splice(at, 1)[0] ?? "";
      }
      throw new Error(`Never arrived: ${text}\n${server.log()}`);
    },
    async stop() {
      await server[Symbol.asyncDispose]();
      await sink.close();
    },
  };
}
