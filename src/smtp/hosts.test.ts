import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { findHosts } from "./hosts.ts";
import { parseNextHops } from "./nexthop.ts";
import { settingsOf } from "./settings.ts";
import { type Zone, zoneDns } from "./testdata/world.ts";

const ZONE: Zone = {
  "two.test": {
    mx: [
      { preference: 20, exchange: "b.test" },
      { preference: 10, exchange: "a.test" },
    ],
  },
  "backup.test": {
    mx: [
      { preference: 10, exchange: "a.test" },
      { preference: 20, exchange: "me.test" },
      { preference: 30, exchange: "b.test" },
    ],
  },
  "best.test": { mx: [{ preference: 10, exchange: "me.test" }] },
  "null.test": { mx: [{ preference: 0, exchange: "" }] },
  "dead.test": { mx: [{ preference: 10, exchange: "gone.test" }] },
  "flaky.test": { temporary: true },
  "a.test": { a: ["192.0.2.1", "192.0.2.2"] },
  "b.test": { a: ["192.0.2.3"] },
  "me.test": { a: ["192.0.2.99"] },
};

const CASES = [
  { in: "two.test", want: ["192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25"], why: "MX in order of preference (OUT-01)" },
  { in: "a.test", want: ["192.0.2.1:25", "192.0.2.2:25"], why: "no MX: the address, RFC 5321 §5.1 (OUT-02)" },
  { in: "[b.test]:26", want: ["192.0.2.3:26"], why: "brackets: no MX" },
  { in: "[192.0.2.7]", want: ["192.0.2.7:25"], why: "address literal" },
  { in: "backup.test", want: ["192.0.2.1:25", "192.0.2.2:25"], why: "we are the backup: only better ones (OUT-04)" },
  { in: "best.test", want: "5.4.6 mail for best.test loops back to myself", why: "we are the best (OUT-04)" },
  { in: "me.test:26", want: ["192.0.2.99:26"], why: "another port of ours is a filter, no loop" },
  { in: "null.test", want: "5.1.0 Domain null.test does not accept mail (nullMX)", why: "RFC 7505" },
  {
    in: "none.test",
    want: "5.4.4 Host or domain name not found. Name service error for name=none.test type=AAAA: Host not found",
    why: "no such domain (OUT-03)",
  },
  {
    in: "dead.test",
    want: "5.4.4 Host or domain name not found. Name service error for name=gone.test type=AAAA: Host not found",
    why: "exchanger without address (OUT-02)",
  },
  {
    in: "flaky.test",
    want: "4.4.3 Host or domain name not found. Name service error for name=flaky.test type=MX: Host not found, try again",
    why: "temporary failure defers (OUT-03)",
  },
  { in: "a.test:nonsense", want: "4.3.5 unknown port in next hop: a.test:nonsense", why: "bad port is ours to mend" },
];
for (const c of CASES) {
  test(`findHosts() ${c.why}: ${c.in}`, async () => {
    const [hop] = parseNextHops(c.in, "smtp");
    assert.ok(hop);
    const found = await findHosts(hop, c.in, {
      dns: zoneDns(ZONE),
      tables: { open: () => assert.fail("no table is needed") },
      log: new Log({ sink: () => {}, now: () => 0, tag: "postfix/smtp", id: 1 }),
      settings: settingsOf(parametersOf({}), "smtp"),
      myAddresses: new Set(["192.0.2.99"]),
      random: () => 0.5,
    });
    const shown =
      "failure" in found
        ? `${found.failure.dsn} ${found.failure.text}`
        : found.targets.map(({ address, port }) => `${address}:${port}`);
    assert.deepEqual(shown, c.want);
  });
}
