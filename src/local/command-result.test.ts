/** What the end of a command means; the texts are those of Debian's Postfix for the same commands. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommandEnd, commandResult } from "./command-result.ts";

const exit = (status: number, output = ""): CommandEnd => ({ kind: "exit", status, output });

const CASES: readonly { end: CommandEnd; want: string; why: string }[] = [
  { end: exit(0), want: "sent 2.0.0 delivered via x service", why: "success" },
  { end: exit(0, "fine\n"), want: "sent 2.0.0 delivered via x service (fine)", why: "success with output" },
  { end: exit(0, "5.1.1 no\n"), want: "sent 2.0.0 delivered via x service (5.1.1 no)", why: "which is not looked at" },
  { end: exit(1), want: 'bounced 5.3.0 Command died with status 1: "/bin/x"', why: "a status that means nothing" },
  {
    end: exit(99, "x"),
    want: 'bounced 5.3.0 Command died with status 99: "/bin/x". Command output: x',
    why: "another",
  },
  { end: exit(64), want: "bounced 5.3.0 command line usage error", why: "EX_USAGE" },
  { end: exit(65), want: "bounced 5.6.0 data format error", why: "EX_DATAERR" },
  { end: exit(66), want: "bounced 5.3.0 cannot open input", why: "EX_NOINPUT" },
  { end: exit(67), want: "bounced 5.1.1 user unknown", why: "EX_NOUSER" },
  { end: exit(68), want: "bounced 5.1.2 host name unknown", why: "EX_NOHOST" },
  { end: exit(69), want: "bounced 5.3.0 service unavailable", why: "EX_UNAVAILABLE" },
  { end: exit(70), want: "bounced 5.3.0 internal software error", why: "EX_SOFTWARE" },
  { end: exit(71), want: "deferred 4.3.0 system resource problem", why: "EX_OSERR" },
  { end: exit(72), want: "bounced 5.3.0 critical OS file missing", why: "EX_OSFILE" },
  { end: exit(73), want: "bounced 5.2.0 can't create user output file", why: "EX_CANTCREAT" },
  { end: exit(74), want: "bounced 5.3.0 input/output error", why: "EX_IOERR" },
  { end: exit(75), want: "deferred 4.3.0 temporary failure", why: "EX_TEMPFAIL" },
  { end: exit(76), want: "bounced 5.5.0 remote error in protocol", why: "EX_PROTOCOL" },
  { end: exit(77), want: "bounced 5.7.0 permission denied", why: "EX_NOPERM" },
  { end: exit(78), want: "bounced 5.3.5 local configuration error", why: "EX_CONFIG" },
  {
    end: exit(67, "line one\nline two\n"),
    want: "bounced 5.1.1 user unknown. Command output: line one line two ",
    why: "output",
  },
  { end: exit(1, "4.2.2 over quota\nmore\n"), want: "deferred 4.2.2 over quota more ", why: "a status in the output" },
  { end: exit(75, "5.1.7 no\n"), want: "bounced 5.1.7 no ", why: "which counts more than the exit status" },
  { end: exit(67, "2.1.1 odd\n"), want: "bounced 5.0.0 odd ", why: "a success that is none" },
  { end: exit(67, "5.1.1"), want: "bounced 5.1.1 command gave no reason", why: "a status alone" },
  { end: exit(67, "5.1.1x"), want: "bounced 5.1.1 user unknown. Command output: 5.1.1x", why: "no status" },
  { end: exit(75, "a\x01b"), want: "deferred 4.3.0 temporary failure. Command output: a?b", why: "controls" },
  {
    end: { kind: "signal", signal: 9, output: "" },
    want: 'deferred 4.3.0 Command died with signal 9: "/bin/x"',
    why: "a signal",
  },
  {
    end: { kind: "timeLimit", output: "started\n" },
    want: 'bounced 5.3.0 Command time limit exceeded: "/bin/x". Command output: started ',
    why: "the time limit",
  },
  {
    end: { kind: "notStarted", text: "pipe: fatal: pipe_command: execvp /bin/x: No such file or directory\n" },
    want: "deferred 4.3.0 temporary failure. Command output: pipe: fatal: pipe_command: execvp /bin/x: No such file or directory ",
    why: "no program",
  },
  { end: { kind: "refused" }, want: "deferred 4.3.5 mail system configuration error", why: "an account that is none" },
];
for (const c of CASES) {
  test(`commandResult() ${c.why}`, () => {
    const { kind, dsn, text } = commandResult(c.end, { command: "/bin/x", done: "delivered via x service" });
    assert.equal(`${kind} ${dsn} ${text}`, c.want);
  });
}
