/** test/testbed/client-site.ts: a server as clients find it: submission with STARTTLS, submissions with TLS from the first
 *  byte, and `lan`, where machines of the house send without a login; a next hop that keeps what it gets. */
import { setTimeout as sleep } from "node:timers/promises";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { startNextHop } from "./next-hop.ts";
import { freePort, TestServer } from "./server.ts";

const ARRIVAL_MS = 15_000;

export interface ClientSite {
  /** By service: submission, submissions, lan. */
  readonly ports: Readonly<Record<string, number>>;
  /** Waits for so many messages, hands them out and forgets them: MAIL, RCPT and content of each, one character a byte. */
  received(count: number): Promise<readonly string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Users alice/secret and bob/pä, both @example.org; a login may leave out the domain. */
export async function startClientSite(mainCf = ""): Promise<ClientSite> {
  const taken: string[] = [];
  let envelope: string[] = [];
  const hop = await startNextHop({
    port: 0,
    keywords: ["8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"],
    asked: (command) => void envelope.push(command),
    taken: (content) => {
      taken.push(`${[...envelope, "", content].join("\r\n")}\r\n`);
      envelope = [];
    },
  });
  const ports = { submission: await freePort(), submissions: await freePort(), lan: await freePort() };
  const { keyPem, certificatePem } = makeSelfSigned(["mail.example.org"], Date.now());
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10
mydestination =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_sasl_local_domain = example.org
smtpd_tls_security_level = may
smtpd_tls_chain_files = $config_directory/site.pem
relayhost = [127.0.0.1]:${hop.port}
smtp_destination_concurrency_limit = 1
${mainCf}`,
    masterCf: `${ports.submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
${ports.submissions} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
${ports.lan} inet n - n - - smtpd
  -o postern_service_role=submission
  -o { smtpd_relay_restrictions = permit_mynetworks, reject }
`,
    files: { "site.pem": keyPem + certificatePem },
  });
  await server.addUser("alice@example.org", "secret");
  await server.addUser("bob@example.org", "pä");
  await server.start();
  return {
    ports,
    async received(count) {
      for (const end = Date.now() + ARRIVAL_MS; taken.length < count; await sleep(10)) {
        if (Date.now() > end) throw new Error(`Only ${taken.length} of ${count} messages arrived:\n${server.log()}`);
      }
      return taken.splice(0);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await hop.close();
    },
  };
}
