/** Tests of the TLS context: protocol syntax and what is said about bad files. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createServerTls, parseTlsProtocols, type ServerTlsInput } from "./tls-context.ts";
import type { FileBytes } from "./tls-files.ts";

const protocols = [
  { in: ">=TLSv1", want: "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", why: "Postfix's default" },
  { in: ">=TLSv1.2", want: "TLSv1.2 TLSv1.3", why: "lower bound" },
  { in: ">=TLSv1.2, <=TLSv1.2", want: "TLSv1.2", why: "both bounds" },
  { in: "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", want: "TLSv1.2 TLSv1.3", why: "exclusions, the old way" },
  { in: "tlsv1.2 TLSv1.3", want: "TLSv1.2 TLSv1.3", why: "a list, in any case" },
  { in: ">=0303", want: "TLSv1.2 TLSv1.3", why: "hexadecimal" },
  { in: "SSLv3 TLSv1.2", want: "TLSv1.2", why: "a list with a version that is gone" },
  { in: ">=SSLv3", want: "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", why: "bound by a version that is gone" },
  { in: "", want: "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", why: "empty: all" },
  { in: "TLSv1.9", want: 'Invalid TLS protocol "TLSv1.9" in "TLSv1.9"', why: "unknown version" },
  { in: ">=TLSv1.3 !TLSv1.3", want: 'No TLS protocol is left by ">=TLSv1.3 !TLSv1.3"', why: "nothing left" },
];

for (const c of protocols) {
  test(`parseTlsProtocols() ${c.why}: ${c.in}`, () => {
    const got = parseTlsProtocols(c.in);
    assert.equal("problem" in got ? got.problem : got.versions.join(" "), c.want);
  });
}

function read(path: string): FileBytes {
  if (path === "absent.pem") return { error: "no such file or directory" };
  if (path === "junk.pem") return { bytes: Buffer.from("junk") };
  return { bytes: readFileSync(new URL(`testdata/${path}`, import.meta.url)) };
}

const INPUT: ServerTlsInput = {
  chainFiles: [],
  pairs: [{ certFile: "cert.pem", keyFile: "key.pem" }],
  protocols: ">=TLSv1",
  grade: "medium",
  excludeCiphers: ["aNULL"],
  preferServerOrder: true,
  read,
};

const contexts: readonly { input: Partial<ServerTlsInput>; want: RegExp | undefined; why: string }[] = [
  { input: {}, want: undefined, why: "certificate and key" },
  { input: { pairs: [], chainFiles: ["chain.pem"] }, want: undefined, why: "chain file" },
  {
    input: { pairs: [], chainFiles: ["key.pem", "cert.pem"] },
    want: undefined,
    why: "a key, and its certificate in the next file",
  },
  {
    input: { pairs: [], chainFiles: ["chain.pem", "key.pem", "cert.pem"] },
    want: undefined,
    why: "two keys, one of them with its certificate",
  },
  {
    input: { pairs: [], chainFiles: ["other-key.pem", "cert.pem"] },
    want: /^Private key "other-key.pem" does not belong to certificate "cert.pem"$/,
    why: "the key of another certificate",
  },
  {
    input: { pairs: [], chainFiles: ["cert.pem", "key.pem"] },
    want: /^Cannot use private key "cert.pem": /,
    why: "a certificate in front of its key, which Postfix refuses, too",
  },
  {
    input: { pairs: [], chainFiles: ["key.pem"] },
    want: /^Cannot use certificate "key.pem": /,
    why: "a key without certificate",
  },
  { input: { pairs: [] }, want: /^No server certificate is configured/, why: "nothing configured" },
  { input: { chainFiles: ["absent.pem"] }, want: /^Cannot read certificate "absent.pem": no such file/, why: "absent" },
  {
    input: { pairs: [{ certFile: "cert.pem", keyFile: "absent.pem" }] },
    want: /^Cannot read private key "absent.pem": no such file/,
    why: "key absent",
  },
  { input: { chainFiles: ["junk.pem"] }, want: /^Cannot use certificate "junk.pem": /, why: "no PEM" },
  {
    input: { pairs: [{ certFile: "cert.pem", keyFile: "other-key.pem" }] },
    want: /^Private key "other-key.pem" does not belong to certificate "cert.pem"$/,
    why: "mismatch",
  },
  { input: { protocols: "SSLv9" }, want: /^Invalid TLS protocol/, why: "protocols" },
  { input: { excludeCiphers: ["?"] }, want: /^Cannot use the TLS settings: /, why: "no cipher string" },
];

for (const c of contexts) {
  test(`createServerTls() ${c.why}`, () => {
    const got = createServerTls({ ...INPUT, ...c.input });
    if (c.want === undefined) assert.ok(!("problem" in got), JSON.stringify(got));
    else assert.match("problem" in got ? got.problem : "no problem", c.want);
  });
}
