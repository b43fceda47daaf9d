/** non_smtpd_milters and milter_header_checks: what a scripted Milter is told of mail from sendmail(1), and what the log says of its
 *  answers, compared with the installed Postfix. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { type MilterScript, numbered, type ScriptedMilter, startMilter } from "../testbed/scripted-milter.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const CHECKS = [
  "REJECT 5.7.8 no",
  "DISCARD",
  "HOLD look",
  "REDIRECT z@x.test",
  "IGNORE",
  "REPLACE X-Other: 1",
  "WARN look",
  "STRIP it",
];

const settings = (milter: number, hop: number) => `relayhost = [127.0.0.1]:${hop}
non_smtpd_milters = inet:127.0.0.1:${milter}
milter_macro_v = V
sender_canonical_maps = inline:{ { c@x.test = d@x.test } }
recipient_canonical_maps = inline:{ { old@x.test = new@x.test } }
milter_header_checks = regexp:{ ${CHECKS.map((action, i) => `{/^X-Check: ${i}/ ${action}}`).join(" ")} }`;

interface Case {
  readonly why: string;
  readonly answer: MilterScript["answer"];
}

const at = (letter: string, ...said: readonly (string | Buffer)[]): MilterScript["answer"] => {
  return (command) => (command === letter ? said : undefined);
};
const ANSWERS = ["r", "t", "d", "y550 5.7.9 not here\0"];

const CASES: readonly Case[] = [
  { why: "continue", answer: () => undefined },
  ...["C", "H", "M", "R", "T", "L", "E"].flatMap((letter) =>
    ANSWERS.map((said) => ({ why: `${letter}: ${JSON.stringify(said)}`, answer: at(letter, said) })),
  ),
  { why: "quarantine", answer: at("E", "qwhy\0", "c") },
  { why: "another sender, with parameters", answer: at("E", "e<c@x.test>\0SIZE=1\0", "c") },
  { why: "nobody more", answer: at("E", "+<>\0", "c") },
  {
    why: "a header inserted, one changed",
    answer: at("E", numbered("i", 1, "X-A", "1"), numbered("m", 1, "Subject", "n"), "c"),
  },
  ...CHECKS.map((action, i) => ({
    why: `milter_header_checks: ${action}`,
    answer: at("E", `hX-Check\0${i}\0`, "hX-Z\x001\0", "c"),
  })),
];

describe("Milters of mail from sendmail, as with Postfix", {
  concurrency: false,
  timeout: 250_000,
  skip: !hasPostfix() && "not installed, or not root",
}, () => {
  let hop: NextHop;
  let postfix: TestPostfix;
  let server: TestServer;
  let milters: readonly ScriptedMilter[] = [];
  let answer: MilterScript["answer"];
  let taken: string[] = [];
  let asked: string[] = [];

  before(async () => {
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content), asked: (line) => asked.push(line) });
    milters = await Promise.all([0, 1].map(() => startMilter({ answer: (command, data) => answer?.(command, data) })));
    const [theirs, ours] = milters as [ScriptedMilter, ScriptedMilter];
    postfix = new TestPostfix(await freePort(), { mainCf: settings(theirs.port, hop.port) });
    await postfix.start();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10\n${settings(ours.port, hop.port)}`,
      masterCf: `${await freePort()} inet n - n - - smtpd\n`,
    });
    await server.start();
  });
  after(async () => {
    postfix?.stop();
    await server?.[Symbol.asyncDispose]();
    for (const milter of milters) await milter.close();
    await hop?.close();
  });

  /** What the Milter is told, what the log says of it, and what arrives. */
  async function observe(milter: ScriptedMilter, log: () => string, submit: () => Promise<void>) {
    milter.events.length = 0;
    taken = [];
    asked = [];
    const before = log().length;
    await submit();
    const said = () => log().slice(before);
    // Over: removed, held, discarded, or to be tried again.
    const over =
      /: removed|milter-hold|milter-header-hold|milter-discard|milter-header-discard|: 4\.\d\.\d |message not accepted/;
    await eventually(async () => assert.match(said(), over), 5000);
    await eventually(async () => assert.ok(taken.length > 0), 400).catch(() => undefined);
    const lines = said()
      .split("\n")
      .filter((line) =>
        /milter-|milter configuration|message not accepted|ESMTP arguments|null recipient|not implemented/.test(line),
      )
      .map((line) => line.replace(/^.*?\]: (?:warning: )?(?:[0-9A-Za-z]+: )?/, ""));
    // Postfix does not always say goodbye.
    const events = milter.events
      .filter((line) => line !== "Q")
      .map((line) =>
        line
          .replace(/\bi=\w+/, "i=ID")
          .replace(/\bj=\S+|\{daemon_name\}=\S+/g, "")
          .replace(/ +/g, " ")
          .trim(),
      );
    const names = taken
      .filter((text) => !/^Subject: Undelivered/m.test(text))
      .map((text) => text.match(/^X-[\w-]+: .*$/gm) ?? []);
    const parties = asked
      .filter((line) => !line.includes("<>"))
      .map((line) => line.replace(/ (?:SIZE|BODY|ORCPT|NOTIFY).*/, ""));
    return {
      events: firstOnly(events),
      lines: [...new Set(lines)],
      names: names.slice(0, 1),
      parties: [...new Set(parties)].slice(0, 4),
    };
  }

  for (const { why, answer: one } of CASES) {
    test(why, async () => {
      answer = one;
      const input =
        "From: a@x.test\nSubject: s\nTo: b@x.test\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nMessage-ID: <1@x.test>\n\nbody\n";
      const args = ["-f", "a@x.test", "b@x.test", "old@x.test"];
      const [first, second] = milters as [ScriptedMilter, ScriptedMilter];
      const theirs = await observe(
        first,
        () => postfix.log(),
        async () => {
          const env = { ...process.env, MAIL_CONFIG: postfix.directory };
          execFileSync("/usr/sbin/sendmail", args, { env, input, stdio: ["pipe", "ignore", "ignore"] });
        },
      );
      execFileSync("postsuper", ["-c", postfix.directory, "-d", "ALL"], { stdio: "ignore" });
      const ours = await observe(
        second,
        () => server.log(),
        async () => void (await server.run(["sendmail", ...args], input)),
      );
      await server.run(["postsuper", "-d", "ALL"]);
      assert.deepEqual(ours, theirs);
    });
  }
});

/** Of what is tried again and again: the first time. */
function firstOnly(events: readonly string[]): readonly string[] {
  const again = events.indexOf("C localhost 4 127.0.0.1", 2);
  return again < 0 ? events : events.slice(0, again - 1);
}
