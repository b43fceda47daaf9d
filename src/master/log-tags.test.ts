import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMasterCf } from "../config/master-cf.ts";
import { createLogTags } from "./log-tags.ts";

const MASTER_CF = `scan unix - - n - 2 smtp
relay unix - - n - - smtp
  -o syslog_name=postfix/$service_name
retry unix - - n - - error
`;

const ROWS = [
  { name: "smtp", want: "postfix/smtp", why: "no line: the program of that name" },
  { name: "scan", want: "postfix/smtp", why: "the program of its line" },
  { name: "relay", want: "postfix/relay/smtp", why: "with the name of its line, as in Debian's master.cf" },
  { name: "retry", want: "postfix/error", why: "retry is the error program" },
  { name: "nosuch", want: "postfix/error", why: "no such transport: its mail is put off" },
  { name: "bounce", want: "postfix/bounce", why: "a program that is no transport" },
];

test("log tags are those of Postfix's daemons", () => {
  const { services } = parseMasterCf(MASTER_CF, "master.cf");
  const snapshot = {
    ...{ generation: 1, configDirectory: "/etc/postern", mainCf: [], services, files: new Map() },
    builtins: new Map([["myhostname", "mail.example.org"]]),
  };
  const tagOf = createLogTags(snapshot);
  for (const { name, want, why } of ROWS) assert.equal(tagOf(name), want, why);
  const without = createLogTags({ ...snapshot, services: [] });
  assert.equal(without("relay"), "postfix/smtp", "the built-in relay runs smtp");
  assert.equal(without("retry"), "postfix/error");
});
