import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSyslogServer } from "./syslog-server.ts";

const cases = [
  { text: "", want: undefined, why: "none" },
  { text: "udp:logs.test:1514", want: { transport: "udp", host: "logs.test", port: 1514 }, why: "name and port" },
  { text: "udp:logs.test", want: { transport: "udp", host: "logs.test", port: 514 }, why: "RFC 5426 §3.3" },
  { text: "tls:logs.test", want: { transport: "tls", host: "logs.test", port: 6514 }, why: "RFC 5425 §4.1" },
  {
    text: "tcp:[2001:db8::1]:601",
    want: { transport: "tcp", host: "2001:db8::1", port: 601 },
    why: "IPv6 in brackets",
  },
  { text: "tcp:2001:db8::1", want: "problem", why: "IPv6 without brackets is ambiguous" },
  { text: "logs.test:514", want: "problem", why: "no transport" },
  { text: "udp:logs.test:0", want: "problem", why: "no such port" },
  { text: "udp:logs.test:65536", want: "problem", why: "no such port" },
  { text: "unix:/dev/log", want: "problem", why: "Node has no datagram sockets of this kind" },
] as const;
for (const { text, want, why } of cases) {
  test(`parseSyslogServer() ${why}: ${text}`, () => {
    const got = parseSyslogServer(text);
    if (want === "problem") assert.ok(got && "problem" in got);
    else assert.deepEqual(got, want);
  });
}
