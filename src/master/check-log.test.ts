import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { formatProblem } from "../config/check.ts";
import { checkConfiguration } from "./check.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-check-log-"));
mkdirSync(join(directory, "log"));
writeFileSync(join(directory, "words"), "no certificate\n");
after(() => rmSync(directory, { recursive: true }));

const CASES = [
  { set: ["maillog_file = DIR/log/mail"], want: [], why: "a file that can be made" },
  { set: ["maillog_file = /dev/stdout"], want: [], why: "standard output" },
  {
    set: ["maillog_file = DIR/log"],
    want: ["main.cf:2: warning: maillog_file: DIR/log is a directory; log lines will be lost"],
    why: "a directory",
  },
  {
    set: ["maillog_file = DIR/none/mail"],
    want: ["main.cf:2: warning: maillog_file: there is no directory DIR/none; log lines will be lost"],
    why: "no directory",
  },
  {
    set: ["maillog_file = DIR/log/mail", "maillog_file_prefixes = /var, DIR/lo"],
    want: [
      "main.cf:3: warning: maillog_file_prefixes: DIR/log/mail begins with none of them; Postfix would not write this log; Postern does",
    ],
    why: "not below its prefixes: a prefix is whole names",
  },
  {
    set: ["maillog_file = DIR/log/mail", "maillog_file_prefixes = /var, DIR/log"],
    want: [],
    why: "below one of its prefixes",
  },
  {
    set: ["postern_syslog_server = tls:log.test:6514", "postern_syslog_tls_CAfile = DIR/none"],
    want: ["main.cf:3: error: open DIR/none: No such file or directory; named by postern_syslog_tls_CAfile"],
    why: "no file of certificates",
  },
  {
    set: ["postern_syslog_server = tls:log.test:6514", "postern_syslog_tls_CAfile = DIR/words"],
    want: ["main.cf:3: error: postern_syslog_tls_CAfile: DIR/words holds no certificate"],
    why: "a file without certificates",
  },
  {
    set: ["postern_syslog_server = udp:log.test:514", "postern_syslog_tls_CAfile = DIR/words"],
    want: [],
    why: "certificates that nobody asks for",
  },
];

for (const { set, want, why } of CASES) {
  test(`checkConfiguration() of the log: ${why}`, async () => {
    const here = (line: string) => line.replaceAll("DIR", directory);
    const mainCf = ["compatibility_level = 3.6", ...set].map((line) => `${here(line)}\n`).join("");
    const files = new Map([
      ["/etc/postern/main.cf", mainCf],
      ["/etc/postern/master.cf", ""],
    ]);
    const problems = await checkConfiguration({
      configDirectory: "/etc/postern",
      hostname: "mail.example.org",
      mailVersion: "0",
      readFile: async (path) => {
        const text = files.get(path);
        return text === undefined ? readFileSync(path) : Buffer.from(text);
      },
    });
    const told = problems.map(formatProblem).filter((text) => /maillog_file|syslog/.test(text));
    assert.deepEqual(told, want.map(here));
  });
}
