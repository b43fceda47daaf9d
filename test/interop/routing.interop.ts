/** Where mail goes, by a real Postfix and by Postern from the same configuration: every transport is the discard program
 *  under a tag of its own, so that each delivery line shows transport, next hop and outcome. Left out, because
 *  the lines name the same in another way: mail to the sender of double bounces, which qmgr itself discards there, and
 *  domains that end in a dot, which orig_to here has without it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const OPTIONS = { concurrency: false, timeout: 240_000, skip: !hasPostfix() && "not installed, or not root" };
const WAIT_MS = 20_000;

const TRANSPORT_LINES = [
  ...["smtp", "relay", "lmtp", "local", "virtual", "discard", "one", "two", "far"].map((name) => [name, "discard"]),
  ...["error", "retry"].map((name) => [name, "error"]),
]
  .map(([name, program]) => `${name} unix - - n - - ${program}\n  -o syslog_name=t/${name}\n`)
  .join("");

const smtpdLine = (port: number) => `127.0.0.1:${port} inet n - n - - smtpd\n`;

const COMMON = `mynetworks = 127.0.0.0/8
mydestination = peer.example.net, here.test
myhostname = peer.example.net
myorigin = here.test
alias_maps =
local_recipient_maps =
append_dot_mydomain = no
smtpd_peername_lookup = no
inet_protocols = ipv4
smtpd_reject_unlisted_recipient = no
smtpd_relay_restrictions = permit_mynetworks, reject
relay_domains = relay.test
virtual_alias_domains = alias.test
virtual_mailbox_domains = box.test
virtual_mailbox_maps = static:yes
recipient_delimiter = +
notify_classes =
`;

interface Case {
  readonly rcpt: string;
  readonly from?: string;
}

interface Site {
  readonly name: string;
  readonly mainCf: string;
  readonly cases: readonly (string | Case)[];
}

const SITES: readonly Site[] = [
  {
    name: "classes, nothing set",
    mainCf: "",
    cases: [
      ...[
        "a@there.test",
        "a@relay.test",
        "a@sub.relay.test",
        "a@box.test",
        "a@alias.test",
        "a@here.test",
        "a",
        "postmaster",
      ],
      ...["a@[127.0.0.1]", "a@[10.1.2.3]", "a@[IPv6:::1]", "a@1.2.3.4", "a%b.test@here.test", "b.test!a@here.test"],
      ...["a@THERE.Test", "double-bounce@there.test"],
    ],
  },
  {
    name: "transports of the classes, with next hops",
    mainCf: `local_transport = one:mailboxes
virtual_transport = two
relay_transport = far:[hub.test]:26
default_transport = one
relayhost = [gate.test]
show_user_unknown_table_name = no
`,
    cases: [
      "a@there.test",
      "a@relay.test",
      "a@box.test",
      "a@alias.test",
      "a@here.test",
      "a@[127.0.0.1]",
      "a@[10.1.2.3]",
    ],
  },
  {
    name: "transport_maps",
    mainCf: `relayhost = [gate.test]
transport_maps = inline:{
  { exact@d.test = one:exact } { user@d.test = one:user } { d.test = one:domain } { .d.test = two:below }
  { keep.test = : } { hop.test = :[other.test]:26 } { alone.test = two } { colon.test = two: }
  { port.test = two:[10.0.0.9]:smtp } { err.test = error:5.7.1 not here } { err2.test = error:no status }
  { err3.test = error } { err4.test = error:4.1.1 soft } { ret.test = retry:4.2.2 come back } { ret2.test = retry:5.1.1 hard }
  { here.test = far: } { box.test = :[boxes.test] } { relay.test = two } { alias.test = two:x } { user@here.test = local: }
  { disc.test = discard:gone } { unknown.test = nosuch:x } }
`,
    cases: [
      ...[
        "exact@d.test",
        "EXACT@D.test",
        "user@d.test",
        "user+ext@d.test",
        "any@d.test",
        "any@sub.d.test",
        "x@y.sub.d.test",
      ],
      ...["a@keep.test", "a@hop.test", "a@alone.test", "a@colon.test", "a@port.test", "a@err.test", "a@err2.test"],
      ...[
        "a@err3.test",
        "a@err4.test",
        "a@ret.test",
        "a@ret2.test",
        "a@here.test",
        "user@here.test",
        "user+x@here.test",
      ],
      ...["a@box.test", "a@relay.test", "a@alias.test", "a@disc.test", "a@other.test", "a@unknown.test"],
    ],
  },
  {
    name: "transport_maps with a rule for all, and parents",
    mainCf: `parent_domain_matches_subdomains = transport_maps
transport_maps = inline:{ { * = one:all } { d.test = two:parent } { me@here.test = : } }
`,
    cases: [
      "a@there.test",
      "a@d.test",
      "a@sub.d.test",
      "a@here.test",
      "me@here.test",
      "a@box.test",
      "a@relay.test",
      "a@alias.test",
    ],
  },
  {
    name: "by sender",
    mainCf: `relayhost = [gate.test]
sender_dependent_relayhost_maps = inline:{ { s@by.test = [own.test] } { @dom.test = [dom.test]:26 } { <> = [null.test] }
  { no@by.test = DUNNO } { plus@by.test = [plus.test] } }
sender_dependent_default_transport_maps = inline:{ { t@by.test = two } { th@by.test = two:[there.test] } { @td.test = far: }
  { no@td.test = DUNNO } }
`,
    cases: [
      ...[
        "s@by.test",
        "S@BY.test",
        "x@dom.test",
        "",
        "no@by.test",
        "plus+x@by.test",
        "t@by.test",
        "th@by.test",
        "x@td.test",
      ].map((from) => ({ from, rcpt: "a@there.test" })),
      { from: "no@td.test", rcpt: "a@there.test" },
      ...["s@by.test", "t@by.test", "th@by.test"].map((from) => ({ from, rcpt: "a@relay.test" })),
      ...["s@by.test", "t@by.test"].map((from) => ({ from, rcpt: "a@here.test" })),
    ],
  },
  {
    name: "the null sender under another key",
    mainCf: `empty_address_relayhost_maps_lookup_key = nobody
empty_address_default_transport_maps_lookup_key = nobody2
sender_dependent_relayhost_maps = inline:{ { nobody = [null.test] } { <> = [wrong.test] } }
sender_dependent_default_transport_maps = inline:{ { nobody2 = two } { <> = far } }
`,
    cases: [{ from: "", rcpt: "a@there.test" }],
  },
  {
    name: "relocated_maps",
    mainCf: `relocated_maps = inline:{ { gone@there.test = new@place.test } { @closed.test = elsewhere } { local = up the hill }
  { user@ext.test = u2@x.test } { alias@alias.test = x@y.test } }
virtual_alias_maps = inline:{ { was@alias.test = gone@there.test } }
`,
    cases: [
      ...["gone@there.test", "GONE@there.test", "other@there.test", "any@closed.test", "local@here.test", "local"],
      ...["user+x@ext.test", "alias@alias.test", "was@alias.test"],
    ],
  },
  {
    name: "content filters",
    mainCf: `content_filter = one:[scan.test]:10025
smtpd_sender_restrictions = check_sender_access inline:{ { f@by.test = FILTER two:[other.test] } { n@by.test = FILTER two: }
  { d@by.test = FILTER two:dummy } }
transport_maps = inline:{ { there.test = far:x } { err.test = error:no } }
`,
    cases: [
      "a@there.test",
      "a@err.test",
      "a@here.test",
      ...["f@by.test", "n@by.test", "d@by.test"].map((from) => ({ from, rcpt: "a@there.test" })),
    ],
  },
  {
    name: "a content filter without next hop",
    mainCf: "content_filter = one:\n",
    cases: ["a@there.test", "a@here.test", "a@[127.0.0.1]"],
  },
  {
    name: "a content filter with a next hop for those without",
    mainCf: "content_filter = one\ndefault_filter_nexthop = [filters.test]\n",
    cases: ["a@there.test"],
  },
  {
    name: "other domains of ours",
    mainCf: `mydestination = $myhostname, pcre:{ { /^p[0-9]\\.test$$/ yes } }, !not.box.test
relay_domains = .dotted.test
proxy_interfaces = 192.0.2.99
`,
    cases: [
      "a@p1.test",
      "a@px.test",
      "a@x.dotted.test",
      "a@dotted.test",
      "a@[192.0.2.99]",
      "a@here.test",
      "a@relay.test",
    ],
  },
];

for (const site of SITES) {
  describe(`where mail goes as in Postfix: ${site.name}`, OPTIONS, () => {
    const started: { postfix?: TestPostfix; postern?: TestServer; ports: { postfix: number; postern: number } } = {
      ports: { postfix: 0, postern: 0 },
    };

    before(async () => {
      started.ports = { postfix: await freePort(), postern: await freePort() };
      const { ports } = started;
      const mainCf = COMMON + site.mainCf;
      const postfix = new TestPostfix(await freePort(), {
        mainCf,
        smtpdOptions: smtpdLine(ports.postfix),
        services: TRANSPORT_LINES,
      });
      const postern = new TestServer({
        mainCf: `compatibility_level = 3.6\n${mainCf}`,
        masterCf: smtpdLine(ports.postern) + TRANSPORT_LINES,
      });
      Object.assign(started, { postfix, postern });
      await Promise.all([postfix.start(), postern.start()]);
    });
    after(async () => {
      started.postfix?.stop();
      await started.postern?.[Symbol.asyncDispose]();
    });

    for (const [i, given] of site.cases.entries()) {
      const { rcpt, from = `s${i}@sender.test` } = typeof given === "string" ? { rcpt: given } : given;
      test(`<${from}> to <${rcpt}>`, async () => {
        const { postfix, postern, ports } = started;
        assert.ok(postfix && postern);
        const [theirs, ours] = await Promise.all([
          deliver({ log: () => postfix.log(), port: ports.postfix }, from, rcpt),
          deliver({ log: () => postern.log(), port: ports.postern }, from, rcpt),
        ]);
        assert.equal(ours, theirs);
      });
    }
  });
}

/** Sends one message; its delivery line as `transport to=<…> status (text)`, or the refusal. */
async function deliver(
  { log, port }: { log: () => string; port: number },
  from: string,
  rcpt: string,
): Promise<string> {
  const before = log().length;
  const client = await Conversation.open(port);
  await client.say("EHLO client.test");
  const reply = await client.send({ from, to: rcpt, content: "Subject: x\r\n\r\ny" });
  client.close();
  const id = /queued as (\S+)$/.exec(reply)?.[1];
  if (id === undefined) return reply;
  let line = "";
  await eventually(async () => {
    const found = log()
      .slice(before)
      .split("\n")
      .find((text) => text.includes(`${id}: to=<`));
    assert.ok(found);
    line = found;
  }, WAIT_MS);
  const [, tag, to, orig = "", dsn, status] =
    /\s(\S+)\[\d+\]: \w+: (to=<.*?>)(, orig_to=<.*?>)?, relay=.*?, (dsn=\S+), (status=.*)$/.exec(line) ?? [];
  return `${tag} ${to}${orig} ${dsn} ${status}`;
}
