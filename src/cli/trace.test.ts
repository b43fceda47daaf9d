/** cli/trace.test.ts: `postern trace` of messages that are gone, from logs in each form; one that is in the queue is traced by
 *  test/queue.test.ts. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { runCommand } from "../../test/testbed/captured-terminal.ts";
import { trace } from "./trace.ts";

const ID = "17EB26B05390301";
const LATE = "17EB36B05390301";
const LINES = `Nov 24 07:13:05 mail postfix/submission/smtpd[512]: Untrusted TLS connection established from other[192.0.2.9]: TLSv1.2
Nov 24 07:13:06 mail postfix/submission/smtpd[513]: connect from localhost[127.0.0.1]
Nov 24 07:13:06 mail postfix/submission/smtpd[513]: Anonymous TLS connection established from localhost[127.0.0.1]: TLSv1.3
Nov 24 07:13:07 mail postfix/submission/smtpd[513]: ${ID}: client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=al@demo.example
Nov 24 07:13:07 mail postfix/cleanup[30970]: ${ID}: message-id=<1@demo.example>
Nov 24 07:13:07 mail postfix/cleanup[30970]: warning: ${ID}: check resent: a block of Resent- fields has no Resent-Date
Nov 24 07:13:07 mail postfix/cleanup[30970]: ${ID}: warning: header Subject: x from localhost[127.0.0.1]; from=<a@b>: odd
Nov 24 07:13:07 mail postfix/cleanup[30970]: ${ID}: changes: Bcc removed (never sent; message_drop_headers), Date added (missing; submission)
Nov 24 07:13:07 mail postfix/qmgr[30970]: ${ID}: from=<al@demo.example>, size=398, nrcpt=2 (queue active)
Nov 24 07:13:07 mail postfix/smtp[30970]: ${ID}: to=<friend@example.net>, relay=mx[192.0.2.1]:25, delay=0.09, delays=0.03/0/0.01/0.05, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Nov 24 07:13:08 mail postfix/smtp[30970]: ${ID}: to=<foe@example.net>, orig_to=<x@y>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx said: 550 5.1.1 no (really) \u001b[31m)
Nov 24 07:13:08 mail postfix/bounce[30970]: ${ID}: sender non-delivery notification: ${LATE}
Nov 24 07:13:08 mail postfix/bounce[30970]: 9${ID}: not of this one
Nov 24 07:13:08 mail postfix/qmgr[30970]: ${ID}: removed
Nov 24 07:13:09 mail postfix/qmgr[30970]: ${ID}: removed for the second time
`;
const REFUSED = `Nov 24 08:00:00 mail postfix/submission/smtpd[514]: ${LATE}: client=pc[192.0.2.7]
Nov 24 08:00:00 mail postfix/cleanup[1]: ${LATE}: reject: END-OF-MESSAGE from pc[192.0.2.7]: 554 5.6.0 Error: no; from=<a@b> to=<c@d> proto=ESMTP
Nov 24 08:00:00 mail postfix/cleanup[1]: ${LATE}: explain: rule=default parameter=postern_submission_checks check=from_twice
`;

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "postern-trace-"));
  for (const name of ["log", "spool", "data"]) mkdirSync(join(directory, name));
  writeFileSync(
    join(directory, "main.cf"),
    `compatibility_level = 3.10\nmaillog_file = ${directory}/log/maillog\nmaillog_file_prefixes = ${directory}\n` +
      `queue_directory = ${directory}/spool\ndata_directory = ${directory}/data\n`,
  );
  writeFileSync(join(directory, "master.cf"), "");
});
after(() => rmSync(directory, { recursive: true, force: true }));

function writeLogs(files: Readonly<Record<string, string | Buffer>>): void {
  rmSync(join(directory, "log"), { recursive: true });
  mkdirSync(join(directory, "log"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, "log", name), text);
}

const run = (...args: string[]) => runCommand(trace, args, { configDirectory: directory });

test("trace tells of a message that is long gone: session, login, TLS, decisions, changes, deliveries (SUB-17, MOD-13)", async () => {
  writeLogs({ maillog: LINES + REFUSED });
  const { code, out, err } = await run(ID);
  assert.deepEqual([code, err], [0, ""]);
  assert.deepEqual(out.split("\n"), [
    `${ID}  gone from the queue, Nov 24 07:13:08: removed`,
    "",
    "arrived     Nov 24 07:13:07  submission/smtpd: client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=al@demo.example",
    "            Anonymous TLS connection established from localhost[127.0.0.1]: TLSv1.3",
    "from        <al@demo.example>, 398 bytes",
    "message     <1@demo.example>",
    "changes     Bcc removed (never sent; message_drop_headers)",
    "            Date added (missing; submission)",
    "decisions   Nov 24 07:13:07  warning: check resent: a block of Resent- fields has no Resent-Date",
    "            Nov 24 07:13:07  warning: header Subject: x from localhost[127.0.0.1]; from=<a@b>: odd",
    "deliveries  Nov 24 07:13:07  sent     <friend@example.net> by mx[192.0.2.1]:25: 250 2.0.0 Ok",
    "            Nov 24 07:13:08  bounced  <foe@example.net> by mx[192.0.2.1]:25: host mx said: 550 5.1.1 no (really) ?[31m",
    `also        Nov 24 07:13:08  bounce: sender non-delivery notification: ${LATE}`,
    `see         postern trace ${LATE}`,
    "",
  ]);
});

test("trace says that a message was refused, and by which check (SUB-24)", async () => {
  writeLogs({ maillog: LINES + REFUSED });
  const { out } = await run(LATE);
  assert.match(out, /^17EB36B05390301 {2}never queued: refused\n/);
  assert.match(out, /decisions .* reject: END-OF-MESSAGE .*\n.* explain: rule=default .* check=from_twice\n/);
});

test("trace reads rotated logs, compressed ones too, in order, and says what it cannot read", async () => {
  const [early, late] = [LINES.split("\n").slice(0, 9).join("\n"), LINES.split("\n").slice(9).join("\n")];
  writeLogs({
    "maillog.1.gz": gzipSync(`${early}\n`),
    maillog: late,
    "maillog.0.xz": "?",
    "maillog.bad.gz": "no gzip",
  });
  const { code, out } = await run(ID);
  assert.equal(code, 0);
  assert.match(out, /client=localhost.*\n +Anonymous TLS [\s\S]*sent {5}<friend/);
  assert.match(
    out,
    /note .*maillog\.0\.xz is compressed in a form that is not read here\n.*maillog\.bad\.gz: incorrect header check/,
  );
});

test("trace leaves out logs that ended before the message came", async () => {
  writeLogs({ "maillog.1": LINES, maillog: "" });
  utimesSync(join(directory, "log/maillog.1"), 1000, 1000);
  const { code, err } = await run(ID);
  assert.equal(code, 1);
  assert.match(
    err,
    /^postern: trace: 17EB26B05390301: neither the queue nor .*maillog knows it; name another log with --log\n$/,
  );
});

test("trace --json gives the same as an object, from a log in JSON of another place", async () => {
  writeLogs({});
  const records = LINES.split("\n").flatMap((line) => {
    const found = /^.{15} mail (\S+)\[(\d+)\]: (?:(warning): )?(.*)$/s.exec(line);
    if (!found) return [];
    const [, tag, id, severity = "info", text] = found;
    return [JSON.stringify({ time: "2026-11-24T07:13:07.000Z", host: "m", tag, id: Number(id), severity, text })];
  });
  writeFileSync(join(directory, "other.json"), `${records.join("\n")}\n`);
  const { code, out } = await run(ID, "--json", "--log", join(directory, "other.json"));
  assert.equal(code, 0);
  const told = JSON.parse(out);
  assert.equal(told.queue_id, ID);
  assert.equal(told.touched, true);
  assert.deepEqual(told.changes, [
    "Bcc removed (never sent; message_drop_headers)",
    "Date added (missing; submission)",
  ]);
  assert.deepEqual(
    told.log.deliveries.map(({ status }: { status: string }) => status),
    ["sent", "bounced"],
  );
  assert.match(told.log.tls, /^Anonymous TLS/);
  assert.equal(told.queue, undefined);
});

const MISUSES = [
  { args: [], want: /expected one QUEUEID\nUsage: postern .* trace QUEUEID/, why: "no queue id" },
  { args: ["--what", ID], want: /Usage: postern/, why: "an unknown option" },
  { args: [ID, LATE], want: /Usage: postern/, why: "two" },
  { args: [ID, "--log"], want: /Usage: postern/, why: "--log without a file" },
  { args: [".*"], want: /\.\* is no queue id of this server/, why: "no queue id at all" },
];
for (const { args, want, why } of MISUSES) {
  test(`trace refuses ${why}`, async () => {
    const { code, err } = await run(...args);
    assert.equal(code, 64);
    assert.match(err, want);
  });
}
