import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSendmailOptions, SendmailError, type SendmailOptions } from "./sendmail-options.ts";

const good: readonly { args: readonly string[]; want: Partial<SendmailOptions>; why: string }[] = [
  { args: ["bob"], want: { mode: "deliver", operands: ["bob"], dotEnds: true }, why: "delivery is the default" },
  { args: ["-i", "bob"], want: { dotEnds: false }, why: "-i: a dot is content" },
  { args: ["-oi", "bob"], want: { dotEnds: false, operands: ["bob"] }, why: "-oi is -i" },
  { args: ["-ti"], want: { extract: true, dotEnds: false }, why: "flags in one word (php mail())" },
  { args: ["-t", "-i", "-fa@b", "-FA B"], want: { sender: "a@b", fullName: "A B" }, why: "attached values" },
  { args: ["-f", "", "bob"], want: { sender: "", operands: ["bob"] }, why: "an empty value" },
  { args: ["-r", "a@b", "bob"], want: { sender: "a@b" }, why: "-r is -f" },
  { args: ["--", "-bob"], want: { operands: ["-bob"] }, why: "behind -- there are no options" },
  { args: ["bob", "-t"], want: { extract: false, operands: ["bob", "-t"] }, why: "options end at the first word" },
  { args: ["-"], want: { operands: ["-"] }, why: "a dash alone is a word" },
  { args: ["-oem", "-odi", "-om", "-o7", "bob"], want: { operands: ["bob"] }, why: "old -o flags are ignored" },
  { args: ["-oX", "v", "bob"], want: { operands: ["bob"] }, why: "-ox takes a value" },
  { args: ["-o", "i", "bob"], want: { dotEnds: false, operands: ["bob"] }, why: "-o i" },
  {
    args: ["-O", "X=y", "-L", "tag", "-h", "3", "-p", "x", "-Am", "-U", "-e", "q", "b"],
    want: { operands: ["b"] },
    why: "ignored",
  },
  { args: ["-B", "8BITMIME", "bob"], want: { body: "8BITMIME" }, why: "-B" },
  { args: ["-N", "success,delay", "bob"], want: { notify: ["SUCCESS", "DELAY"] }, why: "-N in any case" },
  { args: ["-N", "never", "bob"], want: { notify: ["NEVER"] }, why: "-N never" },
  {
    args: ["-N", "never,success", "b"],
    want: { notify: undefined, warnings: ["bad -N option value -- ignored"] },
    why: "-N",
  },
  { args: ["-R", "hdrs", "bob"], want: { ret: "HDRS" }, why: "-R" },
  { args: ["-R", "x", "bob"], want: { warnings: ["bad -R option value -- ignored"] }, why: "-R of no such word" },
  { args: ["-V", "id 1", "bob"], want: { envid: "id 1" }, why: "-V" },
  {
    args: ["-V", "a\tb", "bob"],
    want: { warnings: ["bad syntax in -V option value -- ignored"] },
    why: "-V with a tab",
  },
  {
    args: ["-V", "x".repeat(101), "b"],
    want: { warnings: ["too long -V option value -- ignored"] },
    why: "-V too long",
  },
  { args: ["-G", "bob"], want: { gateway: true }, why: "-G" },
  { args: ["-v", "bob"], want: { report: true }, why: "-v" },
  { args: ["-q"], want: { mode: "flush" }, why: "-q alone" },
  { args: ["-q15m"], want: { mode: "deliver" }, why: "an interval is ignored" },
  { args: ["-qRsite"], want: { site: "site" }, why: "-qR" },
  { args: ["-qIABC"], want: { queueId: "ABC" }, why: "-qI" },
  { args: ["-bp"], want: { mode: "list" }, why: "-bp" },
  { args: ["-bi"], want: { mode: "newaliases" }, why: "-bi" },
  { args: ["-I"], want: { mode: "newaliases" }, why: "-I is -bi" },
  { args: ["-bm", "bob"], want: { mode: "deliver" }, why: "-bm" },
  { args: ["-bs"], want: { mode: "smtp" }, why: "-bs" },
  { args: ["-bd"], want: { mode: "daemon" }, why: "-bd" },
  { args: ["-bh", "bob"], want: { mode: "deliver", operands: ["bob"] }, why: "host status is ignored" },
  { args: ["-C", "/x/main.cf", "b"], want: { configDirectory: "/x" }, why: "-C of a file" },
  { args: ["-C/x", "b"], want: { configDirectory: "/x" }, why: "-C of a directory" },
  { args: ["-oA/etc/aliases", "-bi"], want: { aliasDatabase: "/etc/aliases" }, why: "-oA" },
];
for (const { args, want, why } of good) {
  test(`parseSendmailOptions() ${why}: ${args.join(" ").slice(0, 40)}`, () => {
    const found = parseSendmailOptions(args);
    for (const [name, value] of Object.entries(want))
      assert.deepEqual(found[name as keyof SendmailOptions], value, name);
    if (want.warnings === undefined) assert.deepEqual(found.warnings, []);
  });
}

/** Texts as Postfix 3.7.11 writes them, but for the usage. */
const bad = [
  { args: ["-bX"], want: "unsupported: -bX" },
  { args: ["-z"], want: "invalid option -- 'z'; usage: sendmail [options]" },
  { args: ["-f"], want: "option requires an argument -- 'f'; usage: sendmail [options]" },
  { args: ["-B", "9BIT", "bob"], want: "-B option needs 8BITMIME or 7BIT" },
  { args: ["-n", "bob"], want: "-n option not supported" },
  { args: ["-qS"], want: "-qS is not implemented" },
  { args: ["-qR"], want: "specify: -qRsitename" },
  { args: ["-qI"], want: "specify: -qIqueueid" },
  { args: ["-X", "/tmp/log", "bob"], want: "unsupported: -X/" },
  { args: ["-XV", "bob"], want: "-XV is not supported: there is no VERP" },
  { args: ["-oA"], want: "-oA requires pathname" },
  { args: ["-bp", "x"], want: "display queue mode requires no recipient" },
  { args: ["-q", "x"], want: "flush queue mode requires no recipient" },
  { args: ["-bd", "x"], want: "daemon mode requires no recipient" },
  { args: ["-bi", "x"], want: "alias initialization mode requires no recipient" },
  { args: ["-bs", "x"], want: "stand-alone mode requires no recipient" },
  { args: ["-t", "-bs"], want: "-t can be used only in delivery mode" },
  { args: ["-t", "-bv"], want: "-t option cannot be used with -bv" },
  { args: ["-qRx", "-bp"], want: "-qR can be used only in delivery mode" },
  { args: ["-qIx", "-bp"], want: "-qI can be used only in delivery mode" },
  { args: ["-qRx", "bob"], want: "flush site requires no recipient" },
  { args: ["-qIx", "bob"], want: "flush queue_id requires no recipient" },
];
for (const { args, want } of bad) {
  test(`parseSendmailOptions() refuses ${args.join(" ")}`, () =>
    assert.throws(
      () => parseSendmailOptions(args),
      (error) => error instanceof SendmailError && error.message === want && error.status === 64,
    ));
}
