/** Milters of mail that does not come by SMTP: what sendmail(1) submits, and the reports about it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { type ScriptedMilter, startMilter } from "./testbed/scripted-milter.ts";
import { freePort, TestServer } from "./testbed/server.ts";

let hop: NextHop;
let refusing: NextHop;
let server: TestServer;
let milter: ScriptedMilter;
const taken: string[] = [];
let answer: (command: string, data: Buffer) => readonly string[] | undefined = () => undefined;

before(async () => {
  hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
  refusing = await startNextHop({ port: 0, refusal: "550 5.1.1 nobody" });
  milter = await startMilter({ answer: (command, data) => answer(command, data) });
  server = new TestServer({
    mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
transport_maps = inline:{ { refused.test = smtp:[127.0.0.1]:${refusing.port} } }
postern_workers = 1
non_smtpd_milters = inet:127.0.0.1:${milter.port}
internal_mail_filter_classes = bounce
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s`,
    masterCf: `${await freePort()} inet n - n - - smtpd\n`,
  });
  await server.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await milter?.close();
  await hop?.close();
  await refusing?.close();
});

async function submit(to: string, subject: string): Promise<void> {
  const { code, stderr } = await server.run(["sendmail", "-f", "alice@x.test", to], `Subject: ${subject}\n\nbody\n`);
  assert.equal(code, 0, stderr);
}

const find = async (what: RegExp): Promise<string> => {
  await eventually(async () =>
    assert.ok(
      taken.some((content) => what.test(content)),
      server.log(),
    ),
  );
  return taken.find((content) => what.test(content)) ?? "";
};

test("what sendmail(1) submits passes the Milters, and is changed by them", async () => {
  answer = (command) => (command === "E" ? ["hX-Milter\x00seen\0", "c"] : undefined);
  await submit("bob@x.test", "plain");
  assert.match(await find(/^Subject: plain\r$/m), /^X-Milter: seen\r$/m);
  assert.ok(milter.events.includes("M alice@x.test"), milter.events.join("\n"));
});

test("what a Milter refuses for good goes back; the report passes the Milters, too", async () => {
  answer = (command, data) =>
    command === "L" && data.includes("unwanted") ? ["y550 5.7.9 unwanted here\0"] : undefined;
  await submit("bob@x.test", "unwanted");
  await server.logged(
    /: milter-reject: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: 5\.7\.9 unwanted here; from=<alice@x\.test> to=<bob@x\.test>/,
  );
  assert.match(await find(/^Subject: Undelivered Mail Returned to Sender\r$/m), /unwanted here/);
});

test("a report that a Milter refuses makes the mail that it is about wait, until it may be sent", async () => {
  taken.length = 0;
  let refuse = true;
  answer = (command, data) =>
    refuse && command === "L" && data.includes("Undelivered")
      ? ["t"]
      : command === "E"
        ? ["hX-Report\x001\0", "c"]
        : undefined;
  await submit("bob@refused.test", "lost");
  await server.logged(
    /cannot make a non-delivery notification: ReportRefused: refused by a check of its content: 451 4\.7\.1/,
  );
  assert.equal(taken.length, 0);
  refuse = false;
  assert.match(await find(/^Subject: Undelivered Mail Returned to Sender\r$/m), /^X-Report: 1\r$/m);
});
