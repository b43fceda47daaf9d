/** Tests of client certificates over real handshakes: who is trusted, names, fingerprints. The certificates under
 *  testdata/clients are valid until 2120; the expired one was until 2021. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import type { TlsPeer } from "../mail/client.ts";
import { Connection } from "./connection.ts";
import { certificatesIn, isDigest } from "./peer-certificate.ts";
import { type ClientCertificateInput, createServerTls, type ServerTls } from "./tls-context.ts";
import type { FileBytes } from "./tls-files.ts";

function read(path: string): FileBytes {
  if (path === "absent.pem") return { error: "No such file or directory" };
  return { bytes: readFileSync(new URL(`testdata/${path}`, import.meta.url)) };
}

const RULES: ClientCertificateInput = {
  authorityFile: "clients/ca.pem",
  authorityDirectory: "",
  appendPublic: false,
  digest: "sha256",
  verifyDepth: 9,
};

function context(rules: Partial<ClientCertificateInput>): ServerTls | { readonly problem: string } {
  return createServerTls({
    chainFiles: ["chain.pem"],
    pairs: [],
    protocols: ">=TLSv1.2",
    grade: "medium",
    excludeCiphers: [],
    preferServerOrder: false,
    ticketKeys: Buffer.alloc(48, 7),
    clientCertificates: { ...RULES, ...rules },
    read,
    readDirectory: () => [{ error: "gone" }, { bytes: Buffer.from("README") }, read("clients/ca.pem")],
  });
}

interface Handshake {
  readonly peer: TlsPeer | undefined;
  readonly reused: boolean;
  readonly ticket: Buffer | undefined;
}

/** One handshake; the client shows the certificate of a file under testdata/clients, or none. */
async function shake(
  server: ServerTls,
  certificate: string | undefined,
  more: tls.ConnectionOptions = {},
): Promise<Handshake> {
  const listener = net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<net.Socket>((resolve) => listener.once("connection", resolve));
  const pem = certificate === undefined ? {} : { key: bytesOf(certificate), cert: bytesOf(certificate) };
  const { port } = listener.address() as net.AddressInfo;
  const client = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...pem, ...more });
  let ticket: Buffer | undefined;
  client
    .on("session", (session) => (ticket = session))
    .on("error", () => undefined)
    .resume();
  const connection = new Connection(await accepted, {
    deadlines: new Deadlines(systemClock),
    lineLimit: 100,
    implicitTls: true,
  });
  const failure = await connection.upgrade(server, 2000);
  assert.equal(failure, undefined);
  const session = connection.tls;
  const closed = new Promise((resolve) => client.once("close", resolve));
  await connection.close();
  client.destroy();
  await closed;
  await new Promise((resolve) => listener.close(resolve));
  assert.equal(session?.peerAsked, true);
  return { peer: session?.peer, reused: session?.reused ?? false, ticket };
}

function bytesOf(name: string): Buffer {
  return readFileSync(new URL(`testdata/clients/${name}`, import.meta.url));
}

function good(rules: Partial<ClientCertificateInput> = {}): ServerTls {
  const made = context(rules);
  if ("problem" in made) throw new Error(made.problem);
  return made;
}

const rows: readonly {
  certificate: string | undefined;
  rules?: Partial<ClientCertificateInput>;
  want: string;
  why: string;
}[] = [
  { certificate: "device-1.pem", want: "device-1 of Test CA: trusted", why: "signed by our CA" },
  {
    certificate: "device-2.pem",
    want: "device-2 of Test Intermediate: trusted",
    why: "signed by one that our CA signed",
  },
  {
    certificate: "device-1.pem",
    rules: { authorityFile: "" },
    want: "device-1 of Test CA: untrusted issuer Test CA",
    why: "no CA at all: the public ones do not count",
  },
  {
    certificate: "device-1.pem",
    rules: { authorityFile: "", authorityDirectory: "/d" },
    want: "device-1 of Test CA: trusted",
    why: "CA of a directory",
  },
  {
    certificate: "device-1.pem",
    rules: { verifyDepth: 1 },
    want: "device-1 of Test CA: trusted",
    why: "depth 1: the issuing CA is ours",
  },
  {
    certificate: "device-2.pem",
    rules: { verifyDepth: 1 },
    want: "device-2 of Test Intermediate: certificate chain longer than limit(1)",
    why: "depth 1, one between",
  },
  { certificate: "self-signed.pem", want: "self of self: self-signed certificate", why: "self-signed" },
  { certificate: "expired.pem", want: "device-1 of Test CA: certificate has expired", why: "expired" },
  {
    certificate: "server-only.pem",
    want: "device-1 of Test CA: not designated for use as a client certificate",
    why: "a server's certificate",
  },
  { certificate: undefined, want: "none", why: "none sent" },
];

for (const c of rows) {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`peerOf() ${c.why}, ${version}`, async () => {
      const { peer } = await shake(good(c.rules), c.certificate, { minVersion: version, maxVersion: version });
      const got = peer && `${peer.subject} of ${peer.issuer}: ${peer.trusted ? "trusted" : peer.distrust}`;
      assert.equal(got ?? "none", c.want);
    });
  }
}

test("peerOf() makes fingerprints as openssl does", async () => {
  const { peer } = await shake(good(), "device-1.pem");
  assert.equal(
    peer?.certFingerprint,
    "5A:88:1D:47:D3:30:25:5D:6C:18:8D:75:85:20:61:63:D6:92:5F:B5:15:B5:77:7B:58:43:6F:89:45:53:58:EF",
  );
  assert.equal(
    peer?.publicKeyFingerprint,
    "52:3C:ED:83:0B:F8:75:40:07:33:F7:1B:DB:5E:EC:CF:15:4B:D1:79:B5:65:B7:89:11:97:97:5C:9C:64:00:CD",
  );
  const md5 = await shake(good({ digest: "md5" }), "device-1.pem");
  assert.equal(md5.peer?.certFingerprint, "E4:1C:5A:29:5E:02:52:5D:A5:4B:E1:9B:64:A6:58:99");
});

test("a verdict is not carried to a service that trusts other CAs by resuming the session", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const versions = { minVersion: version, maxVersion: version };
    const first = await shake(good(), "device-1.pem", versions);
    assert.equal(first.peer?.trusted, true);
    if (first.ticket === undefined) continue;
    const second = await shake(good({ authorityFile: "" }), "device-1.pem", { ...versions, session: first.ticket });
    assert.equal(second.reused, false);
    assert.equal(second.peer?.trusted, false);
  }
});

const problems: readonly { rules: Partial<ClientCertificateInput>; want: RegExp; why: string }[] = [
  {
    rules: { authorityFile: "absent.pem" },
    want: /^Cannot read CA certificates "absent.pem": No such file/,
    why: "absent",
  },
  {
    rules: { authorityFile: "key.pem" },
    want: /^Cannot use CA certificates "key.pem": no certificate in it$/,
    why: "a key",
  },
  { rules: { digest: "sha3000" }, want: /^Digest algorithm "sha3000" is not supported$/, why: "digest" },
];
for (const c of problems) {
  test(`createServerTls() says what is wrong with client certificates: ${c.why}`, () => {
    const made = context(c.rules);
    assert.match("problem" in made ? made.problem : "none", c.want);
  });
}

test("certificatesIn() finds certificates between other text, and throws for broken ones", () => {
  const pem = bytesOf("device-2.pem").toString();
  assert.deepEqual(
    certificatesIn(`text\n${pem}\nmore`).map(({ subject }) => subject),
    ["CN=device-2", "CN=Test Intermediate"],
  );
  assert.throws(() => certificatesIn("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  assert.equal(isDigest("sha512"), true);
});
