/** test/rewriting.test.ts: aliases and a content filter on a running server: what is queued, what a next hop sees, and that a
 *  report finds its way to an alias. The filter is a server of our own that hands mail back. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("rewriting", { concurrency: false, timeout: 60_000 }, () => {
  const taken: string[] = [];
  let server: TestServer;
  let filter: TestServer;
  let sink: NextHop;
  let refusing: NextHop;
  let ports: { in: number; filter: number; back: number };

  before(async () => {
    sink = await startNextHop({ port: 0, taken: (content) => void taken.push(content) });
    refusing = await startNextHop({ port: 0, refusal: "550 5.1.1 No such user here" });
    ports = { in: await freePort(), filter: await freePort(), back: await freePort() };
    const common =
      "compatibility_level = 3.10\nmynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n";
    server = new TestServer({
      mainCf: `${common}relayhost = [127.0.0.1]:${sink.port}
transport_maps = inline:{ { refused.test = smtp:[127.0.0.1]:${refusing.port} } }
virtual_alias_domains = alias.test
virtual_alias_maps = inline:{ { team@alias.test = a@far.test b@far.test }, { sender@alias.test = home@far.test } }
sender_canonical_maps = inline:{ { ann@in.test = Ann.Lee@out.test } }
postern_service_role = mx
local_header_rewrite_clients = permit_mynetworks
content_filter = scan:[127.0.0.1]:${ports.filter}`,
      masterCf: `${ports.in} inet n - n - - smtpd
scan unix - - n - 2 smtp
  -o smtp_send_xforward_command=yes
127.0.0.1:${ports.back} inet n - n - - smtpd
  -o content_filter=
  -o receive_override_options=no_unknown_recipient_checks,no_address_mappings
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
`,
    });
    filter = new TestServer({
      mainCf: `${common}relayhost = [127.0.0.1]:${ports.back}
smtp_send_xforward_command = yes
smtpd_authorized_xforward_hosts = 127.0.0.0/8`,
      masterCf: `127.0.0.1:${ports.filter} inet n - n - - smtpd\n`,
    });
    await Promise.all([server.start(), filter.start()]);
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await filter?.[Symbol.asyncDispose]();
    await sink?.close();
    await refusing?.close();
  });

  const send = async (words: { from: string; to: string }) => {
    const client = await Conversation.open(ports.in);
    await client.say("EHLO pc.in.test");
    const content = `From: Ann <${words.from}>\r\nTo: ${words.to}\r\nSubject: x\r\n\r\ny`;
    const reply = await client.send({ ...words, content });
    client.close();
    assert.match(reply, /^250 /);
  };

  test("aliases are expanded once, before the filter; the filter's hand-back knows the first client", async () => {
    await send({ from: "ann@in.test", to: "team@alias.test" });
    await server.logged(/to=<b@far\.test>[^\n]*relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+[^\n]*status=sent[^\n]*kept/);
    const log = server.log();
    assert.match(log, /to=<a@far\.test>, orig_to=<team@alias\.test>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+/);
    assert.match(log, /from=<Ann\.Lee@out\.test>/);
    assert.match(log, /client=\S+\[127\.0\.0\.1\], orig_queue_id=[0-9A-F]+, orig_client=/);
    const [content = ""] = taken;
    assert.match(content, /^From: Ann <Ann\.Lee@out\.test>\r$/m);
    assert.match(content, /^To: team@alias\.test\r$/m);
  });

  test("a report to an alias goes where the alias leads", async () => {
    await send({ from: "sender@alias.test", to: "nobody@refused.test" });
    await server.logged(/sender non-delivery notification: \S+[\s\S]*to=<home@far\.test>[^\n]*status=sent/);
    assert.doesNotMatch(server.log(), /User unknown in virtual alias table/);
  });
});
