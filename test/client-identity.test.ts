/** test/client-identity.test.ts: who a client is, on a running server: XCLIENT and the PROXY header make it another for
 *  decisions, limits, log and headers; a client certificate lets a stranger relay. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeSelfSigned } from "../src/net/self-signed.ts";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const CLIENTS = join(import.meta.dirname, "../src/net/testdata/clients");
const certificate = (name: string) => readFileSync(join(CLIENTS, `${name}.pem`), "latin1");
const fingerprint = (name: string) => new X509Certificate(certificate(name)).fingerprint256;

const SERVICES = ["xclient", "proxy", "certificate", "access"] as const;

describe("who a client is", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let hop: NextHop;
  const ports = {} as Record<(typeof SERVICES)[number], number>;
  const taken: string[] = [];

  before(async () => {
    for (const service of SERVICES) ports[service] = await freePort();
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    const made = makeSelfSigned(["mail.example.org"], Date.now());
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
mydestination = example.org
local_recipient_maps =
local_transport = smtp:[127.0.0.1]:${hop.port}
mynetworks = 192.0.2.0/28
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions =
smtpd_relay_restrictions = permit_mynetworks, permit_tls_clientcerts, reject_unauth_destination
smtpd_client_message_rate_limit = 2
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
relay_clientcerts = inline:{{${fingerprint("device-1")} = device one}}
postern_workers = 1`,
      masterCf: `${ports.xclient} inet n - n - - smtpd -o smtpd_authorized_xclient_hosts=127.0.0.1
  -o smtpd_client_connection_count_limit=1
${ports.proxy} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
${ports.certificate} inet n - n - - smtpd -o smtpd_tls_ask_ccert=yes -o smtpd_client_message_rate_limit=0
${ports.access} inet n - n - - smtpd -o smtpd_tls_ask_ccert=yes -o smtpd_client_message_rate_limit=0
  -o { smtpd_recipient_restrictions = check_ccert_access inline:{{${fingerprint("device-2")} = reject no more}} }
`,
      files: { "site.pem": made.keyPem + made.certificatePem },
    });
    server.append("main.cf", `smtpd_tls_chain_files = ${server.directory}/site.pem\n`);
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
  });

  /** The reply to a recipient elsewhere. */
  async function relay(client: Conversation): Promise<string> {
    await client.say("MAIL FROM:<bob@example.net>");
    return client.say("RCPT TO:<friend@elsewhere.example>");
  }
  const DENIED = "554 5.7.1 <friend@elsewhere.example>: Relay access denied";
  const OK = "250 2.1.5 Ok";

  async function delivered(subject: string): Promise<string> {
    for (const end = Date.now() + 10_000; Date.now() < end; await sleep(30)) {
      const found = taken.find((content) => content.includes(`Subject: ${subject}`));
      if (found !== undefined) return found;
    }
    throw new Error(`"${subject}" did not arrive`);
  }

  async function send(client: Conversation, subject: string): Promise<string> {
    assert.equal(await client.say("DATA"), "354 End data with <CR><LF>.<CR><LF>");
    assert.match(await client.say(`Subject: ${subject}\r\n\r\nx\r\n.`), /^250 2\.0\.0 Ok: queued as /);
    return delivered(subject);
  }

  test("XCLIENT: the new client decides, and stands in the Received header (OTH-05)", async () => {
    const client = await Conversation.open(ports.xclient);
    await client.say("EHLO proxy.example");
    assert.equal(await relay(client), DENIED);
    assert.equal(await client.say("RSET"), "250 2.0.0 Ok");
    assert.match(await client.say("XCLIENT ADDR=192.0.2.7 NAME=inside.example.org HELO=laptop PROTO=ESMTP"), /^220 /);
    assert.equal(await relay(client), OK);
    const content = await send(client, "by xclient");
    assert.match(content, /^Received: from laptop \(inside\.example\.org \[192\.0\.2\.7\]\)\r?$/m);
    assert.doesNotMatch(content, /127\.0\.0\.1|proxy\.example/);
    client.close();
    await server.logged(/client=inside\.example\.org\[192\.0\.2\.7\]/);
  });

  test("XCLIENT: the host that says it is not counted, each client is", async () => {
    const clients = [];
    for (const address of ["192.0.2.21", "192.0.2.22", "192.0.2.21"]) {
      const client = await Conversation.open(ports.xclient);
      for (let i = 0; i < 3; i++)
        assert.match(await client.say("MAIL FROM:<>"), /^(?:250|503) /, "no limit for the host");
      await client.say("RSET");
      clients.push({ client, greeting: await client.say(`XCLIENT ADDR=${address}`) });
    }
    assert.deepEqual(
      clients.map(({ greeting }) => greeting.slice(0, 3)),
      ["220", "220", "421"],
    );
    for (const { client } of clients) client.close();
  });

  test("PROXY: the client of the header decides, and stands in the Received header", async () => {
    for (const [address, want] of [
      ["192.0.2.8", OK],
      ["192.0.2.99", DENIED],
    ] as const) {
      const client = await Conversation.open(ports.proxy, { first: `PROXY TCP4 ${address} 198.51.100.1 4711 25\r\n` });
      await client.say("EHLO laptop");
      assert.equal(await relay(client), want);
      if (want === OK)
        assert.match(await send(client, "by proxy"), /^Received: from laptop \(unknown \[192\.0\.2\.8\]\)/m);
      client.close();
    }
  });

  const headers = [
    { first: "EHLO laptop\r\n", why: "no header" },
    { first: "PROXY TCP4 192.0.2.8 198.51.100.1 4711\r\n", why: "half a header" },
    { first: "PROXY UNKNOWN\r\n", why: "nobody named" },
    { first: "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02xx", why: "a short header of version 2" },
  ];
  for (const { first, why } of headers) {
    test(`PROXY: refused: ${why}`, async () => {
      const client = await Conversation.open(ports.proxy, { first });
      assert.equal(client.greeting, "421 4.3.0 mail.example.org Server local error");
      await client.closed();
    });
  }

  async function shown(service: "certificate" | "access", name: string | undefined): Promise<Conversation> {
    const client = await Conversation.open(ports[service]);
    await client.say("EHLO device");
    const pem = name === undefined ? {} : { key: certificate(name), cert: certificate(name) };
    assert.match(await client.startTls(pem), /^220 /);
    await client.say("EHLO device");
    return client;
  }

  for (const [name, want] of [
    ["device-1", OK],
    ["device-2", DENIED],
    [undefined, DENIED],
  ] as const) {
    test(`relay_clientcerts (SUB-14): ${name ?? "no certificate"}`, async () => {
      const client = await shown("certificate", name);
      assert.equal(await relay(client), want);
      if (name === "device-1") {
        const content = await send(client, "by certificate");
        assert.match(content, /\(Client CN "[^"]+", Issuer "[^"]+" \(not verified\)\)/);
      }
      client.close();
    });
  }

  test("check_ccert_access refuses by fingerprint", async () => {
    const client = await shown("access", "device-2");
    await client.say("MAIL FROM:<bob@example.net>");
    assert.match(
      await client.say("RCPT TO:<alice@example.org>"),
      /^554 5\.7\.1 <.*>: Client certificate rejected: no more$/,
    );
    client.close();
    const other = await shown("access", "device-1");
    await other.say("MAIL FROM:<bob@example.net>");
    assert.equal(await other.say("RCPT TO:<alice@example.org>"), OK);
    other.close();
  });

  test("certificates are logged as Postfix does", async () => {
    await server.logged(/Untrusted TLS connection established from unknown\[127\.0\.0\.1\]: TLSv1\.3 with cipher /);
    await server.logged(/Anonymous TLS connection established from unknown\[127\.0\.0\.1\]: TLSv1\.3 with cipher /);
  });
});
