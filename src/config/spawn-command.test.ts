import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMasterCf } from "./master-cf.ts";
import { parseSpawnCommand } from "./spawn-command.ts";

const good = [
  {
    line: "policy unix - n n - 0 spawn user=spf argv=/usr/bin/policyd-spf",
    want: { user: "spf", group: undefined, argv: ["/usr/bin/policyd-spf"] },
    why: "as the package's page says",
  },
  {
    line: "policy unix - n n - 0 spawn\n  user=spf:mail argv=/usr/bin/perl -T /etc/spf.pl user=x",
    want: { user: "spf", group: "mail", argv: ["/usr/bin/perl", "-T", "/etc/spf.pl", "user=x"] },
    why: "a group, and arguments that look like options and attributes",
  },
  {
    line: "policy unix - n n - 0 spawn -v user=spf: argv=/bin/x { two words }",
    want: { user: "spf", group: undefined, argv: ["/bin/x", "two words"] },
    why: "-v, an empty group, a protected argument",
  },
  {
    line: "policy unix - n n - 0 spawn -o syslog_name=other USER=spf ARGV=x",
    want: { user: "spf", group: undefined, argv: ["x"] },
    why: "attribute names in any case, behind -o",
  },
];
for (const { line, want, why } of good) {
  test(`parseSpawnCommand() ${why}`, () => {
    const [service] = parseMasterCf(line, "master.cf").services;
    assert.ok(service);
    assert.deepEqual(parseSpawnCommand(service), want);
  });
}

const bad = [
  { args: [], want: "missing user= attribute", why: "nothing" },
  { args: ["argv=/bin/x"], want: "missing user= attribute", why: "no user" },
  { args: ["user=", "argv=/bin/x"], want: "missing user= attribute", why: "an empty user" },
  { args: ["user=spf"], want: "missing argv= attribute", why: "no command" },
  { args: ["user=spf", "argv=", "/bin/x"], want: "argv= names no program", why: "a blank behind argv=" },
  {
    args: ["user=spf", "flags=R", "argv=/bin/x"],
    want: "unknown attribute name: flags=R",
    why: "an attribute of pipe",
  },
  { args: ["user=spf", "/bin/x"], want: "unknown attribute name: /bin/x", why: "argv= forgotten" },
];
for (const { args, want, why } of bad) {
  test(`parseSpawnCommand() refuses ${why}`, () => {
    assert.throws(() => parseSpawnCommand({ args }), { name: "ParameterError", message: want });
  });
}
