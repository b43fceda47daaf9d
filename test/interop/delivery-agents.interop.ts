/** The same mail through Debian's Postfix and through Postern, with the same aliases, .forward files, pipe services and mailbox tables:
 *  who gets it under which sender, what commands are given, what stands in mailboxes, and what the log says of each outcome.
 *  What differs on purpose is named at its row. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

/** nobody: mail_owner of the test's Postern; daemon: who runs commands. */
const OWNER = 65534;

const ALIASES = (directory: string) => `
multi: x@far.test, y@far.test
twice: x@far.test, X@far.test, x@far.test
nested: multi, z@far.test
owned: x@far.test, y@far.test
owner-owned: boss@far.test, other@far.test
inner: owned, z@far.test
list: :include:${directory}/list
cmds: :include:${directory}/commands
null: /dev/null
ghost: nosuchuser
loop: pool
pool: loop
ext+a: e@far.test
ext: f@far.test
quoted: "two words"@far.test
run: "|${directory}/end 0"
thank: "|${directory}/end 0 thanks"
refuse: "|${directory}/end 67 why"
died: "|${directory}/end kill"
dumped: "|${directory}/dump a b"
`;

const PIPES = (directory: string): Readonly<Record<string, string>> => ({
  plain: `flags= user=daemon argv=${directory}/dump $sender $recipient $user $extension $mailbox $domain $nexthop $original_recipient`,
  flags: `flags=DORhu user=daemon argv=${directory}/dump $sender $recipient $user $extension $mailbox $domain $nexthop`,
  uucp: `flags=Fqhu.B> user=daemon argv=${directory}/dump -f $sender $recipient`,
  crlf: `flags=R user=daemon eol=\\r\\n null_sender= argv=${directory}/dump -f $sender -- $recipient`,
  many: `user=daemon argv=${directory}/dump u:$user { r: $recipient }`,
  ...Object.fromEntries(
    [1, 65, 67, 70, 73, 75, 77, 78, 99].map((n) => [`exit${n}`, `user=daemon argv=${directory}/end ${n}`]),
  ),
  status4: `user=daemon argv=${directory}/end 1 { 4.2.2 over quota }`,
  status5: `user=daemon argv=${directory}/end 75 { 5.1.7 no }`,
  output: `user=daemon argv=${directory}/end 67 { who is that }`,
  fine: `user=daemon argv=${directory}/end 0 { thank you }`,
  killed: `user=daemon argv=${directory}/end kill`,
  missing: `user=daemon argv=/nonexistent/command x`,
  away: `user=daemon directory=/nonexistent argv=${directory}/dump`,
  small: `user=daemon size=100 argv=${directory}/dump`,
});

const DUMP = `#!/bin/sh
{ for a in "$@"; do printf '[%s]\\n' "$a"; done; id -u; id -g; umask; echo --; cat -A; } > OUT/$$.tmp
mv OUT/$$.tmp OUT/$$.done
`;
const END = `#!/bin/sh
cat > /dev/null
[ "$1" = kill ] && kill -9 $$
[ -n "$2" ] && echo "$2"
exit $1
`;

/** One of the two servers, and what came of a message. */
interface Side {
  readonly name: "Postfix" | "Postern";
  readonly port: number;
  readonly directory: string;
  log(): string;
  readonly taken: string[];
  readonly asked: string[];
}

const clean = (text: string) =>
  text
    .replace(/^.*?\/(local|pipe|virtual|error|discard)\[\d+\]: \w+: /, "$1: ")
    .replace(/relay=(?:127\.0\.0\.1\[[^\]]*\]):\d+/, "relay=hop")
    .replace(/delay=[\d.]+, delays=[\d./]+, /, "")
    .replace(/forwarded as \w+/, "forwarded")
    .replaceAll(/\/tmp\/\S+\/(?=end|dump)/g, "");

/** What both sides are given. */
function prepare(directory: string): void {
  for (const part of ["", "out", "mail"]) {
    mkdirSync(join(directory, part));
    chmodSync(join(directory, part), part === "" ? 0o755 : 0o777);
  }
  chownSync(join(directory, "mail"), OWNER, OWNER);
  writeFileSync(join(directory, "list"), "# a list\nm1@far.test\nm2@far.test, m3@far.test\n");
  writeFileSync(join(directory, "commands"), "|/bin/true\n/tmp/file\n");
  writeFileSync(join(directory, "aliases"), ALIASES(directory));
  for (const [script, text] of [
    ["dump", DUMP],
    ["end", END],
  ] as const) {
    writeFileSync(join(directory, script), text.replaceAll("OUT", join(directory, "out")));
    chmodSync(join(directory, script), 0o755);
  }
}

function mainCf(directory: string, { hopPort, tableType }: { hopPort: number; tableType: string }): string {
  const pipes = Object.keys(PIPES(directory)).map((pipe) => `{${pipe}.test = ${pipe}:Hop.Test}`);
  const others =
    "{fail.test = error:5.7.9 no mail} {drop.test = discard:2.0.9 dropped} {wait.test = retry:4.3.9 later} {bare.test = error}";
  return `mydestination = peer.example.net
myhostname = peer.example.net
myorigin = peer.example.net
mail_name = Postfix
recipient_delimiter = +
local_recipient_maps =
relayhost = [127.0.0.1]:${hopPort}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps = ${tableType}:${directory}/aliases
transport_maps = inline:{ ${pipes.join(" ")} ${others} }
plain_destination_recipient_limit = 1
flags_destination_recipient_limit = 1
virtual_mailbox_domains = v.test
virtual_mailbox_base = ${directory}/mail
virtual_mailbox_maps = inline:{ {box@v.test = v/box/} {@v.test = v/all/} }
virtual_uid_maps = static:${OWNER}
virtual_gid_maps = static:${OWNER}
bounce_queue_lifetime = 0
allow_mail_to_commands = alias
default_privs = daemon
smtpd_reject_unlisted_recipient = no
smtp_host_lookup = native
`;
}

/** `ends` gets what ends it. */
async function startSide(name: Side["name"], directory: string, ends: (() => Promise<void>)[]): Promise<Side> {
  prepare(directory);
  const taken: string[] = [];
  const asked: string[] = [];
  const hop = await startNextHop({
    ...{ port: 0, taken: (text) => taken.push(text), asked: (line) => asked.push(line) },
  });
  ends.push(() => hop.close());
  const port = await freePort();
  const services = Object.entries(PIPES(directory)).map(([pipe, args]) => `${pipe} unix - n n - - pipe\n  ${args}\n`);
  const common = { name, port, directory, taken, asked };
  if (name === "Postern") {
    const main = mainCf(directory, { hopPort: hop.port, tableType: "texthash" });
    const masterCf = `${port} inet n - n - - smtpd\n${services.join("")}`;
    const server = new TestServer({ mainCf: `compatibility_level = 3.6\n${main}`, masterCf });
    await server.start();
    ends.push(() => server[Symbol.asyncDispose]());
    return { ...common, log: () => server.log() };
  }
  const postfix = new TestPostfix(port, { mainCf: mainCf(directory, { hopPort: hop.port, tableType: "hash" }) });
  appendFileSync(join(postfix.directory, "master.cf"), `virtual unix - n n - - virtual\n${services.join("")}`);
  execFileSync("postalias", ["-c", postfix.directory, `hash:${directory}/aliases`], { stdio: "ignore" });
  await postfix.start();
  ends.push(async () => postfix.stop());
  return { ...common, log: () => postfix.log() };
}

describe("delivery agents beside Postfix", {
  concurrency: false,
  timeout: 280_000,
  skip: !hasPostfix() && "not installed",
}, () => {
  const root = mkdtempSync(join(tmpdir(), "agents-interop-"));
  const sides: Side[] = [];
  const ends: (() => Promise<void>)[] = [];

  before(async () => {
    chmodSync(root, 0o755);
    for (const name of ["Postfix", "Postern"] as const) sides.push(await startSide(name, join(root, name), ends));
  });
  after(async () => {
    for (const end of ends) await end();
    rmSync(root, { recursive: true, force: true });
  });

  async function send(side: Side, to: readonly string[], from = "s@from.test"): Promise<string> {
    const client = await Conversation.open(side.port);
    await client.say("EHLO client.example");
    assert.match(await client.say(`MAIL FROM:<${from}>`), /^250 /);
    for (const rcpt of to) assert.match(await client.say(`RCPT TO:<${rcpt}>`), /^250 /, `${side.name} ${rcpt}`);
    await client.say("DATA");
    const reply = await client.say(
      "Subject: x\r\nMessage-ID: <m@from.test>\r\nFrom: s@from.test\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nFrom here\r\n..dot\r\nlast\r\n.",
    );
    client.close();
    const [, id] = /queued as (\w+)/.exec(reply) ?? [];
    assert.ok(id, reply);
    return id;
  }

  /** Waits for a line. */
  async function logged(side: Side, pattern: RegExp): Promise<string> {
    for (const end = Date.now() + 15_000; Date.now() < end; await sleep(50)) {
      const found = pattern.exec(side.log());
      if (found) return found[0];
    }
    throw new Error(`${side.name} never logged ${pattern}:\n${side.log().slice(-3000)}`);
  }

  /** What one side says of a message's recipients, and who gets what it forwards. */
  async function outcomes(side: Side, id: string): Promise<readonly string[]> {
    const line = await logged(side, new RegExp(`.*: ${id}: to=.*`));
    const first = side
      .log()
      .split("\n")
      .filter((text) => text.includes(`: ${id}: to=`));
    const next = /forwarded as (\w+)/.exec(first.join("\n"))?.[1];
    const lines = first.map(clean).sort();
    if (next === undefined) return line === "" ? [] : lines;
    await logged(side, new RegExp(`qmgr\\[\\d+\\]: ${next}: removed`));
    const behind = side
      .log()
      .split("\n")
      .filter((text) => new RegExp(`: ${next}: (?:to|from)=`).test(text));
    const shown = behind.map((text) =>
      text
        .replace(/^.*?: (?:to|from)=/, (m) => m.slice(m.lastIndexOf(" ") + 1))
        .replace(/, size=\d+/, "")
        .replace(/relay=.*?, delay=.*?dsn/, "dsn"),
    );
    return [...lines, ...shown.sort()];
  }

  async function both<T>(run: (side: Side) => Promise<T>): Promise<readonly [T, T]> {
    const [postfix, postern] = sides;
    assert.ok(postfix && postern);
    return [await run(postfix), await run(postern)];
  }

  const SAME = [
    "multi",
    "Multi+ext",
    "twice",
    "nested",
    "owned",
    "list",
    "null",
    "ghost",
    "ext+a",
    "ext+b",
    "quoted",
    "nosuchuser",
    ...["run", "thank", "refuse", "died"],
  ];
  for (const name of SAME) {
    test(`alias ${name}: the same outcome, recipients and sender`, async () => {
      const [postfix, postern] = await both(async (side) =>
        outcomes(side, await send(side, [`${name}@peer.example.net`])),
      );
      assert.deepEqual(postern, postfix);
    });
  }

  test("the null sender of a list with an owner becomes the owner", async () => {
    const [postfix, postern] = await both(async (side) =>
      outcomes(side, await send(side, ["owned@peer.example.net"], "")),
    );
    assert.deepEqual(postern, postfix);
  });

  test("what is forwarded has the same headers on top", async () => {
    const [postfix, postern] = await both(async (side) => {
      side.taken.length = 0;
      await outcomes(side, await send(side, ["Multi+Ext@peer.example.net"]));
      return (side.taken[0] ?? "")
        .split("\r\n")
        .slice(0, 8)
        .join("\n")
        .replaceAll(/id \w+; .*|id \w+$/gm, "id")
        .replaceAll(/; \w{3}, .*/g, "");
    });
    const top = (text: string) => text.slice(text.indexOf("Received: by peer"));
    assert.equal(top(postern).split("\n").slice(0, 3).join("\n"), top(postfix).split("\n").slice(0, 3).join("\n"));
  });

  const DIFFERENT = [
    {
      name: "inner",
      postfix: /^local: to=<inner@peer\.example\.net>.*forwarded\)/,
      postern: /^local: to=<inner@peer\.example\.net>.*forwarded\)/,
      why: "a list inside an alias: both forward once for each sender",
    },
    {
      name: "loop",
      postfix: /alias database loop for (?:loop|pool)/,
      postern: /alias database loop for (?:loop|pool)/,
      why: "a circle: found a hundred steps earlier",
    },
    {
      name: "cmds",
      postfix: /dsn=5\.7\.1, status=bounced \(mail to command is restricted\)/,
      postern: /dsn=5\.7\.1, status=bounced \(mail to command is restricted\)/,
      why: "commands in a list",
    },
  ];
  for (const c of DIFFERENT) {
    test(`alias ${c.name}: ${c.why}`, async () => {
      const [postfix, postern] = await both(async (side) =>
        outcomes(side, await send(side, [`${c.name}@peer.example.net`])),
      );
      assert.match(postfix.join("\n"), c.postfix);
      assert.match(postern.join("\n"), c.postern);
    });
  }

  const AGENT_LINES = [
    ...Object.keys(PIPES("")).filter((name) => !["plain", "flags", "uucp", "crlf", "many"].includes(name)),
    ...["fail", "drop", "wait", "bare"],
  ];
  for (const name of AGENT_LINES) {
    test(`${name}.test: the same log line`, async () => {
      const [postfix, postern] = await both(async (side) => outcomes(side, await send(side, [`u@${name}.test`])));
      assert.deepEqual(postern, postfix);
    });
  }

  const COMMANDS = [
    { to: ["User+Ext@Plain.test"], why: "every macro" },
    { to: ["User+Ext@Flags.test"], why: "headers, folded" },
    { to: ["B@uucp.test", '"two words"@uucp.test'], why: "UUCP" },
    { to: ["Dumped+x@peer.example.net"], why: "a command of an alias" },
    { to: ["a@crlf.test"], from: "", why: "the null sender and CRLF" },
    { to: ["a@many.test", "b@many.test"], why: "an argument for each recipient" },
  ];
  for (const { to, from, why } of COMMANDS) {
    test(`a command gets the same arguments and input: ${why}`, async () => {
      const [postfix, postern] = await both(async (side) => {
        const out = join(side.directory, "out");
        for (const file of readdirSync(out)) rmSync(join(out, file));
        const id = await send(side, to, from);
        await logged(side, new RegExp(`(?:pipe|local)\\[\\d+\\]: ${id}: to=.*status=sent`));
        const [file] = readdirSync(out).filter((each) => each.endsWith(".done"));
        assert.ok(file);
        const text = readFileSync(join(out, file), "latin1");
        // The headers of the message itself are the server's own.
        return text
          .replaceAll(/\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}/g, "DATE")
          .replaceAll(/(?:with ESMTP )?id \w+/g, "id")
          .replace(/Received: [\s\S]*?\nSubject/, "Received\nSubject");
      });
      assert.equal(postern, postfix);
    });
  }

  test("a virtual mailbox holds the same", async () => {
    const [postfix, postern] = await both(async (side) => {
      const id = await send(side, ["Box+x@V.test", "other@v.test"]);
      await logged(side, new RegExp(`qmgr\\[\\d+\\]: ${id}: removed`));
      const texts = ["box", "all"].map((name) => {
        const path = join(side.directory, "mail/v", name, "new");
        const [file] = existsSync(path) ? readdirSync(path) : [];
        return file === undefined ? "" : readFileSync(join(path, file), "latin1").split("\n").slice(0, 3).join("\n");
      });
      return [...(await outcomes(side, id)), ...texts];
    });
    assert.deepEqual(postern, postfix);
  });
});
