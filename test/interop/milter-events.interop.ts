/** What a Milter is told, packet for packet and macro for macro, at each turn that a session can take, compared with the installed
 *  Postfix. */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { Conversation } from "../testbed/conversation.ts";
import { hasDovecot, TestDovecot } from "../testbed/dovecot.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { type MilterScript, type ScriptedMilter, startMilter } from "../testbed/scripted-milter.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { SCENES, type Scene, SERVICES, type Service } from "./milter-scenes.ts";

const CLIENTS = join(import.meta.dirname, "../../src/net/testdata/clients");
const LOGIN = { login: "alice@x.test", password: "secret" };

const settings = (milter: number, hop: number, auth: number) => `relayhost = [127.0.0.1]:${hop}
myhostname = mail.test
mydestination =
inet_protocols = all
mynetworks = 127.0.0.0/8, 192.0.2.0/24, [2001:db8::]/32
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{ { no@x.test = REJECT 5.7.9 not him } { later@x.test = DEFER } { drop@x.test = DISCARD } }
sender_canonical_maps = inline:{ { old@x.test = new@x.test } }
recipient_canonical_maps = inline:{ { old@x.test = new@x.test } }
transport_maps = inline:{ { y.test = smtp:[127.0.0.1]:${hop} } }
smtpd_tls_security_level = may
smtpd_tls_ask_ccert = yes
smtpd_tls_CAfile = CONFIG/ca.pem
smtpd_tls_chain_files = CONFIG/chain.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:${auth}
milter_macro_v = V
milter_macro_daemon_name = ORIGINATING
milter_command_timeout = 1s
milter_content_timeout = 1s
smtpd_milters = inet:127.0.0.1:${milter}`;

const CONTENT = [
  "From: a@x.test",
  "Date: Tue, 24 Nov 2026 10:00:00 +0000",
  "Message-ID: <1@x.test>",
  "Subject:\ts",
  "To:  b@x.test",
  "",
  "body",
  "",
].join("\r\n");

describe("what a Milter is told, as with Postfix", {
  concurrency: false,
  timeout: 250_000,
  skip: !(hasPostfix() && hasDovecot()) && "not installed, or not root",
}, () => {
  let hop: NextHop;
  let dovecot: TestDovecot;
  let postfix: TestPostfix;
  let server: TestServer;
  let sides: readonly Side[] = [];
  let script: MilterScript = {};

  before(async () => {
    hop = await startNextHop({ port: 0, taken: () => undefined });
    const port = await freePort();
    dovecot = new TestDovecot({ sockets: [], port, users: { [LOGIN.login]: LOGIN.password } });
    await dovecot.start();
    const milters = await Promise.all([0, 1].map(() => startMilter(following(() => script))));
    const [first, second] = milters as [ScriptedMilter, ScriptedMilter];
    const [theirs, ours] = [await portsOfServices(), await portsOfServices()];
    postfix = new TestPostfix(await freePort(), { mainCf: "", smtpdOptions: masterCf(theirs) });
    server = new TestServer({ mainCf: "compatibility_level = 3.10", masterCf: masterCf(ours) });
    for (const [{ directory }, milter] of [
      [postfix, first],
      [server, second],
    ] as const) {
      const mainCf = join(directory, "main.cf");
      const own = settings(milter.port, hop.port, port).replaceAll("CONFIG", directory);
      writeFileSync(mainCf, `${readFileSync(mainCf, "latin1")}${own}\n`);
      const { keyPem, certificatePem } = makeSelfSigned(["mail.test"], Date.now());
      writeFileSync(join(directory, "chain.pem"), keyPem + certificatePem, { mode: 0o644 });
      copyFileSync(join(CLIENTS, "ca.pem"), join(directory, "ca.pem"));
      chmodSync(join(directory, "ca.pem"), 0o644);
    }
    await postfix.start();
    await server.start();
    sides = [
      { milter: first, ports: theirs, log: () => postfix.log() },
      { milter: second, ports: ours, log: () => server.log() },
    ];
  });
  after(async () => {
    postfix?.stop();
    await server?.[Symbol.asyncDispose]();
    await dovecot?.remove();
    for (const { milter } of sides) await milter.close();
    await hop?.close();
  });

  for (const scene of SCENES) {
    test(scene.why, async () => {
      script = scene.script ?? {};
      const [theirs, ours] = [await observe(sides[0] as Side, scene), await observe(sides[1] as Side, scene)];
      assert.deepEqual(ours, theirs);
    });
  }

  interface Side {
    readonly milter: ScriptedMilter;
    readonly ports: Readonly<Record<Service, number>>;
    readonly log: () => string;
  }

  /** What client and Milter hear. */
  async function observe({ milter, ports, log }: Side, { talk, service = "plain", beside, decided }: Scene) {
    const other = beside ? await Conversation.open(ports[service]) : undefined;
    await eventually(async () => assert.equal(milter.connections(), beside ? 1 : 0), 5000);
    milter.packets.length = 0;
    const logged = log().length;
    const client = await Conversation.open(ports[service]);
    const replies: string[] = [client.greeting.slice(0, 4)];
    for (const line of talk.split(" | ")) {
      const unasked = line === "(content)" && !replies.at(-1)?.startsWith("354");
      if (!unasked) replies.push(await act(client, line).catch(() => "(closed)"));
    }
    client.close();
    await eventually(async () => {
      assert.match(log().slice(logged), /: disconnect from /);
      assert.equal(milter.connections(), beside ? 1 : 0);
    }, 5000);
    other?.close();
    const packets = milter.packets.map((packet) => withoutChance(packet, ports[service]));
    if (decided && packets.at(-1) === "Q") packets.pop();
    return { replies, packets, lines: linesOfMilters(log().slice(logged)) };
  }
});

async function act(client: Conversation, line: string): Promise<string> {
  const [, name = "", word = ""] = /^\((\w+(?: chunk)?) ?([\w-]*)\)$/.exec(line) ?? [];
  switch (name) {
    case "":
      return (await client.say(line)).slice(0, 4);
    case "starttls": {
      if (word === "") return client.startTls();
      const pem = readFileSync(join(CLIENTS, `${word}.pem`), "latin1");
      return client.startTls({ key: pem, cert: pem });
    }
    case "login":
      return client.authPlain(LOGIN.login, LOGIN.password);
    case "content":
      client.write(`${CONTENT}.\r\n`);
      return (await client.reply()).slice(0, 4);
    case "half":
      client.write(CONTENT.slice(0, 20));
      return "";
    case "chunk":
    case "last chunk": {
      const [bytes, last] = name === "chunk" ? [CONTENT, ""] : ["more\r\n", " LAST"];
      client.write(`BDAT ${bytes.length}${last}\r\n${bytes}`);
      return (await client.reply()).slice(0, 4);
    }
    default:
      client.close();
      return "";
  }
}

/** What the log says of Milters, without date and process. */
function linesOfMilters(log: string): readonly string[] {
  const lines = log.split("\n").filter((line) => /milter/.test(line));
  return lines.map((line) =>
    line
      .replace(/^.*?\]: /, "")
      .replace(/^(?!NOQUEUE)\w+: milter-/, "ID: milter-")
      .replace(/inet:\S+(?=: )/, "MILTER"),
  );
}

/** Numbers of queue files and ports, which are never the same twice. */
function withoutChance(packet: string, port: number): string {
  return packet
    .replace(/(^D.|\0)i\0\w+\0/, "$1i\0ID\0")
    .replace(/(\{client_port\})\0(?!0\0|1234\0)\d+/, "$1\0PORT")
    .replace(`{daemon_port}\0${port}`, "{daemon_port}\0PORT")
    .replace(/^(Clocalhost\0.)[\s\S]{2}/, "$1PP")
    .replaceAll("\0", "|");
}

function following(current: () => MilterScript): MilterScript {
  return {
    get macros() {
      return current().macros ?? {};
    },
    get steps() {
      return current().steps ?? 0;
    },
    answer: (command, data) => current().answer?.(command, data),
  };
}

async function portsOfServices(): Promise<Readonly<Record<Service, number>>> {
  const pairs: [string, number][] = [];
  for (const name of Object.keys(SERVICES)) pairs.push([name, await freePort()]);
  return Object.fromEntries(pairs) as Record<Service, number>;
}

function masterCf(ports: Readonly<Record<Service, number>>): string {
  const lines = Object.entries(SERVICES).map(
    ([name, options]) => `127.0.0.1:${ports[name as Service]} inet n - n - - smtpd ${options}\n`,
  );
  return lines.join("");
}
