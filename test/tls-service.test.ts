/** TLS of a real server with its default settings, as a client sees it: versions, ciphers, names, renegotiation, the end. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import tls from "node:tls";
import { type ClientSite, startClientSite } from "./testbed/client-site.ts";
import { Conversation } from "./testbed/conversation.ts";

/** As weak as OpenSSL can be talked into. */
const ANYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";

/** The connection after its handshake, or the error. */
function shake(port: number, options: tls.ConnectionOptions): Promise<tls.TLSSocket | Error> {
  return new Promise((resolve) => {
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", resolve);
  });
}

async function shaken(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = await shake(port, options);
  if (socket instanceof Error) throw socket;
  return socket;
}

/** A door to the port that notes what the server sends. */
async function overheard(port: number): Promise<{ port: number; bytes: Buffer[]; close: () => void }> {
  const bytes: Buffer[] = [];
  const door = net.createServer((client) => {
    const server = net.connect(port, "127.0.0.1");
    server.on("data", (chunk) => bytes.push(chunk));
    client.pipe(server).pipe(client);
    for (const socket of [client, server]) socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
  return { port: (door.address() as net.AddressInfo).port, bytes, close: () => door.close() };
}

/** Content types of TLS records (RFC 8446 §5.1). */
function recordTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) types.push(bytes[at] ?? 0);
  return types;
}
const ALERT = 21;

describe("TLS of a server", { concurrency: false, timeout: 60_000 }, () => {
  let site: ClientSite;
  let port: number;
  before(async () => {
    site = await startClientSite("smtpd_tls_received_header = yes");
    port = site.ports["submissions"] ?? 0;
  });
  after(() => site?.[Symbol.asyncDispose]());

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`TLS-21: ${version} is spoken`, async () => {
      const socket = await shaken(port, { minVersion: version, maxVersion: version });
      assert.equal(socket.getProtocol(), version);
      socket.destroy();
    });
  }

  for (const version of ["TLSv1", "TLSv1.1"] as const) {
    test(`TLS-22: ${version} is not`, async () => {
      const old = { minVersion: version, maxVersion: version, ciphers: ANYTHING } as const;
      assert.ok((await shake(port, old)) instanceof Error);
    });
  }

  // RC4, export ciphers and 3DES are not even in the OpenSSL of Node.
  for (const ciphers of ["aNULL", "eNULL"]) {
    test(`TLS-23: nobody gets ${ciphers}`, async () => {
      const weak = { maxVersion: "TLSv1.2", ciphers: `${ciphers}:@SECLEVEL=0` } as const;
      assert.ok((await shake(port, weak)) instanceof Error);
    });
  }

  test("TLS-23: TLS 1.2 is forward secret and authenticated, when the client leaves the choice to us", async () => {
    const socket = await shaken(port, { maxVersion: "TLSv1.2" });
    assert.match(socket.getCipher().name, /^ECDHE-.*(?:GCM|CHACHA20)/);
    socket.destroy();
  });

  test("TLS-24: a client cannot renegotiate", async () => {
    const socket = await shaken(port, { maxVersion: "TLSv1.2" });
    await once(socket, "data");
    const outcome = await new Promise<string>((resolve) => {
      socket.once("error", () => resolve("refused")).once("close", () => resolve("refused"));
      socket.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error ? "refused" : "renegotiated"));
    });
    assert.equal(outcome, "refused");
    socket.destroy();
  });

  test("TLS-26: whatever name a client asks for, or none, it gets a certificate", async () => {
    const shown: string[] = [];
    for (const servername of ["mail.example.org", "unknown.example.com", ""]) {
      const socket = await shaken(port, { servername });
      shown.push(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    }
    assert.equal(new Set(shown).size, 1);
  });

  test("TLS-31: who offers nothing but HTTP is no mail client", async () => {
    assert.ok((await shake(port, { ALPNProtocols: ["h2", "http/1.1"] })) instanceof Error);
    for (const names of [["smtp"], ["h2", "smtp"], []]) {
      const socket = await shaken(port, { ALPNProtocols: names });
      assert.equal(socket.alpnProtocol, names.at(-1) ?? false);
      socket.destroy();
    }
  });

  test("TLS-29: close_notify comes before the close", async () => {
    const door = await overheard(port);
    const socket = await shaken(door.port, { maxVersion: "TLSv1.2" });
    await once(socket, "data");
    socket.resume().write("QUIT\r\n");
    await once(socket, "close");
    assert.equal(recordTypes(Buffer.concat(door.bytes)).at(-1), ALERT);
    door.close();
  });

  test("TRC-05: Received says protocol and cipher where it is asked to", async () => {
    const client = await Conversation.open(port, { tls: true });
    await client.say("EHLO client.example.net");
    await client.authPlain("alice@example.org", "secret");
    await client.send({ from: "alice@example.org", to: "bob@elsewhere.test", content: "Subject: x\r\n\r\ny" });
    const [received = ""] = await site.received(1);
    assert.match(received, /\n\t\(using TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 \(256\/256 bits\)/);
    client.close();
  });
});
