/** Address verification by a real Postfix and by Postern, from the same configuration: every reply, every line about a probe,
 *  and what the next hops are asked must be the same but for queue ids, ports and times. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const OPTIONS = { concurrency: false, timeout: 240_000, skip: !hasPostfix() && "not installed, or not root" };
const WAIT_MS = 15_000;

const COMMON = `mynetworks = 127.0.0.0/8
mydestination = peer.example.net
myhostname = peer.example.net
myorigin = peer.example.net
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_alias_domains = alias.test
virtual_alias_maps = inline:{ { team@alias.test = a@far.test b@refused.test }, { one@alias.test = x@refused.test } }
address_verify_poll_count = 5
address_verify_poll_delay = 1s
`;

/** By name: the options of a service. */
const SERVICES: Readonly<Record<string, readonly string[]>> = {
  recipients: ["smtpd_recipient_restrictions = reject_unverified_recipient, permit"],
  senders: ["smtpd_recipient_restrictions = reject_unverified_sender, permit"],
  impatient: ["smtpd_recipient_restrictions = reject_unverified_recipient, permit", "address_verify_poll_count = 1"],
  final: [
    "smtpd_recipient_restrictions = reject_unverified_sender, reject_unverified_recipient, permit",
    "unverified_recipient_reject_code = 550",
    "unverified_recipient_defer_code = 451",
    "unverified_sender_reject_code = 551",
    "unverified_sender_reject_reason = Sender gone",
  ],
  atonce: [
    "smtpd_recipient_restrictions = reject_unverified_recipient, reject",
    "unverified_recipient_tempfail_action = defer",
    "unverified_recipient_reject_reason = Address lookup failed",
  ],
  later: ["smtpd_recipient_restrictions = reject_unverified_recipient, reject"],
  warned: [
    "smtpd_recipient_restrictions = warn_if_reject, reject_unverified_recipient, permit",
    "unverified_recipient_reject_code = 550",
  ],
};

interface Row {
  readonly why: string;
  readonly service: string;
  readonly sender?: string;
  readonly recipient: string;
  /** To wait for, where the reply does not. */
  readonly probes?: number;
}

const ROWS: readonly Row[] = [
  { why: "taken", service: "recipients", recipient: "a@far.test" },
  { why: "refused", service: "recipients", recipient: "b@refused.test" },
  { why: "refused, from the record", service: "recipients", recipient: "b@refused.test" },
  { why: "refused for now", service: "recipients", recipient: "c@later.test" },
  { why: "unreachable", service: "recipients", recipient: "d@dead.test" },
  { why: "discarded", service: "recipients", recipient: "e@disc.test" },
  { why: "error transport", service: "recipients", recipient: "f@err.test" },
  { why: "retry transport", service: "recipients", recipient: "g@ret.test" },
  { why: "alias of several", service: "recipients", recipient: "team@alias.test" },
  { why: "alias of one", service: "recipients", recipient: "one@alias.test" },
  { why: "no such alias", service: "recipients", recipient: "bogus@alias.test" },
  { why: "no such user", service: "recipients", recipient: "no-such-user@peer.example.net" },
  { why: "postmaster alone is never asked about", service: "recipients", recipient: "postmaster" },
  {
    why: "the sender of probes is never asked about",
    service: "recipients",
    recipient: "double-bounce@peer.example.net",
  },
  { why: "another hop for probes", service: "recipients", recipient: "h@elsewhere.test" },
  { why: "in progress", service: "impatient", recipient: "i@slow.test", probes: 1 },
  { why: "a sender that is taken", service: "senders", sender: "n@far.test", recipient: "a@far.test" },
  { why: "a sender that is refused", service: "senders", sender: "n@refused.test", recipient: "a@far.test" },
  { why: "the null sender", service: "senders", sender: "", recipient: "a@far.test" },
  { why: "a final code for recipients", service: "final", recipient: "b@refused.test" },
  { why: "another code for now", service: "final", recipient: "c@later.test" },
  { why: "a final code and a reason for senders", service: "final", sender: "n@refused.test", recipient: "a@far.test" },
  { why: "a failure for now, at once", service: "atonce", recipient: "c@later.test" },
  { why: "a refusal with another reason", service: "atonce", recipient: "b@refused.test" },
  { why: "a failure for now, and a later rule that refuses", service: "later", recipient: "c@later.test" },
  { why: "warn_if_reject", service: "warned", recipient: "b@refused.test" },
  { why: "warn_if_reject and a failure for now", service: "warned", recipient: "c@later.test" },
];

describe("address verification as Postfix does it", OPTIONS, () => {
  const hops: NextHop[] = [];
  const asked = { postfix: [] as string[], postern: [] as string[] };
  let postfix: TestPostfix;
  let postern: TestServer;
  const ports = { postfix: new Map<string, number>(), postern: new Map<string, number>() };

  before(async () => {
    const [forPostfix, forPostern] = [await hopsOf(asked.postfix, hops), await hopsOf(asked.postern, hops)];
    for (const side of ["postfix", "postern"] as const)
      for (const name of Object.keys(SERVICES)) ports[side].set(name, await freePort());
    postfix = new TestPostfix(await freePort(), {
      mainCf: COMMON + forPostfix,
      smtpdOptions: masterCf(ports.postfix),
    });
    postern = new TestServer({
      mainCf: `postern_workers = 2\n${COMMON}${forPostern}`,
      masterCf: masterCf(ports.postern),
    });
    await Promise.all([postfix.start(), postern.start()]);
  });
  after(async () => {
    postfix?.stop();
    await postern?.[Symbol.asyncDispose]();
    for (const hop of hops) await hop.close();
  });

  const ask = async (side: "postfix" | "postern", row: Row) => {
    const { service, sender = "s@far.test", recipient, probes = 0 } = row;
    const server = side === "postfix" ? postfix : postern;
    const before = { log: server.log().length, asked: asked[side].length };
    const client = await Conversation.open(ports[side].get(service) ?? 0);
    await client.say("EHLO client.example");
    await client.say(`MAIL FROM:<${sender}>`);
    const reply = await client.say(`RCPT TO:<${recipient}>`);
    await client.say("QUIT");
    client.close();
    const probe = () => server.log().slice(before.log);
    await eventually(async () => {
      assert.match(probe(), /disconnect from/);
      assert.ok(count(probe(), /: removed/g) >= Math.max(probes, count(probe(), /\(queue active\)/g)));
    }, WAIT_MS);
    return { reply: normal(reply), log: linesOf(probe()), asked: asked[side].slice(before.asked).map(normal) };
  };

  for (const row of ROWS) {
    test(`${row.why}: ${row.service} <${row.sender ?? "s@far.test"}> <${row.recipient}>`, async () => {
      const [theirs, ours] = await Promise.all([ask("postfix", row), ask("postern", row)]);
      assert.deepEqual(ours, theirs);
    });
  }
});

async function hopsOf(asked: string[], hops: NextHop[]): Promise<string> {
  const start = async (refusal?: string) => {
    const hop = await startNextHop({
      port: 0,
      asked: (command) => void asked.push(command),
      ...(refusal !== undefined && { refusal }),
    });
    hops.push(hop);
    return `[127.0.0.1]:${hop.port}`;
  };
  const taking = await start();
  const refusing = await start("550 5.1.1 No such user here");
  const transports = `{ refused.test = smtp:${refusing} }, { later.test = smtp:${await start("451 4.2.0 Greylisted")} },
  { dead.test = smtp:[127.0.0.1]:9 }, { disc.test = discard: }, { err.test = error:5.2.1 gone away },
  { ret.test = retry:4.2.1 not now }`;
  return `relayhost = ${taking}
transport_maps = inline:{ ${transports} }
address_verify_transport_maps = inline:{ ${transports}, { elsewhere.test = smtp:${refusing} } }
`;
}

function masterCf(ports: ReadonlyMap<string, number>): string {
  const lines = [...ports].map(([name, port]) => {
    const options = (SERVICES[name] ?? []).map((setting) => `  -o { ${setting} }\n`);
    return `127.0.0.1:${port} inet n - n - - smtpd\n${options.join("")}`;
  });
  return lines.join("");
}

/** Lines about probes and refusals, in the order of their programs: two processes of Postfix write in any order. */
function linesOf(log: string): readonly string[] {
  const lines = log.split("\n").flatMap((line) => {
    const [, program, text] = /\S+\/(\w+)\[\d+\]: (.*)$/.exec(line) ?? [];
    const about = /status=(?:un)?deliverable|message-id=|queue active|: removed|reject(?:_warning)?:/;
    return program && text && about.test(text) ? [`${program}: ${normal(text)}`] : [];
  });
  return lines.sort();
}

function normal(text: string): string {
  return text
    .replace(/<\d{14}\.\w+@/g, "<STAMP.ID@")
    .replace(/^\w+: (?!reject)/, "ID: ")
    .replace(/^(?:NOQUEUE|\w+): reject/, "ID: reject")
    .replace(/\]:\d{3,5}/g, "]:PORT")
    .replace(/(?:localhost|unknown)\[127/g, "CLIENT[127")
    .replace(/conn_use=\d+, /, "") // whether a session still waits is a matter of milliseconds
    .replace(/delay=[\d.]+, delays=[\d./]+/, "delay=D")
    .replace(/size=\d+|SIZE=\d+/, "size=N");
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
