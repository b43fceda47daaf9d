/** Tests of config/inet-name.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseInetService } from "./inet-name.ts";

const SERVICES = `# comment
submission 588/tcp   # the built-in list is asked first
imap2	143/tcp		imap
domain 53/udp
domain 5353/tcp
broken 99999/tcp
`;

const cases = [
  { in: "25", host: undefined, port: 25, why: "a bare port" },
  { in: "smtp", host: undefined, port: 25, why: "built-in" },
  { in: "submission", host: undefined, port: 587, why: "built-in before /etc/services" },
  { in: "submissions", host: undefined, port: 465, why: "RFC 8314" },
  { in: "smtps", host: undefined, port: 465, why: "its older name" },
  { in: "lmtp", host: undefined, port: 24, why: "built-in" },
  { in: "imap2", host: undefined, port: 143, why: "/etc/services" },
  { in: "imap", host: undefined, port: 143, why: "an alias" },
  { in: "domain", host: undefined, port: 5353, why: "tcp only" },
  { in: "127.0.0.1:2525", host: "127.0.0.1", port: 2525, why: "host and port" },
  { in: "mail.example.org:smtp", host: "mail.example.org", port: 25, why: "names for both" },
  { in: "[::1]:smtp", host: "::1", port: 25, why: "IPv6 in brackets" },
  { in: "[fe80::1%eth0]:25", host: "fe80::1%eth0", port: 25, why: "a zone" },
  { in: "[127.0.0.1]:25", host: "127.0.0.1", port: 25, why: "IPv4 in brackets" },
  { in: ":25", host: undefined, port: 25, why: "an empty host" },
  { in: "localhost:0", host: "localhost", port: 0, why: "the system chooses" },
];
for (const c of cases) {
  test(`parseInetService() ${c.why}: ${c.in}`, () => {
    assert.deepEqual(parseInetService(c.in, SERVICES), { host: c.host, port: c.port });
  });
}

for (const bad of [
  "",
  "nosuch",
  "65536",
  "host:",
  "::1:25",
  "[::1]",
  "[::1]25",
  "[::1",
  "a b:25",
  "broken",
  "-1",
  "tcp",
]) {
  test(`parseInetService() refuses ${JSON.stringify(bad)}`, () => {
    assert.equal(parseInetService(bad, SERVICES), undefined);
  });
}

test("parseInetService() gives a port in range or nothing", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (name, services) => {
      const found = parseInetService(name, services);
      assert.ok(found === undefined || (found.port >= 0 && found.port <= 65535));
    }),
  );
});
