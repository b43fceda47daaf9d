/** A server that verifies mail from elsewhere: one process, a name server on loopback, and a next hop that shows what became of the mail. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { arc } from "mailauth/lib/arc/index.js";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { BodyHash } from "../src/dkim/body-hash.ts";
import { type DkimKey, generateKey, parseKey, publicRecord } from "../src/dkim/key.ts";
import { signMessage } from "../src/dkim/sign.ts";
import { ZoneServer } from "../src/dns/testdata/zone-server.ts";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const txt = (name: string, data: string) => ({
  answers: [{ type: "TXT" as const, name, ttl: 60, data: data.match(/.{1,255}/g) ?? [] }],
});

describe("mail from elsewhere", { concurrency: false, timeout: 90_000 }, () => {
  let names: ZoneServer;
  let hop: NextHop;
  let server: TestServer;
  /** Verifies; refuses by SPF and DMARC; does neither; verifies and seals. */
  let key: DkimKey;
  let ports: { results: number; refusing: number; plain: number; sealing: number };
  const taken: string[] = [];

  before(async () => {
    const pem = generateKey("rsa-sha256");
    const parsed = parseKey(Buffer.from(pem));
    if ("problem" in parsed) throw new Error(parsed.problem);
    key = parsed;
    names = await ZoneServer.start({
      "far.test TXT": txt("far.test", "v=spf1 ip4:127.0.0.2 -all"),
      "_dmarc.far.test TXT": txt("_dmarc.far.test", "v=DMARC1; p=reject"),
      "s._domainkey.far.test TXT": txt("s._domainkey.far.test", publicRecord(key)),
    });
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    ports = {
      results: await freePort(),
      refusing: await freePort(),
      plain: await freePort(),
      sealing: await freePort(),
    };
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
relay_domains = example.org
mydestination = local.test
local_recipient_maps =
alias_maps = texthash:$config_directory/aliases
postern_dkim_signing_file = $config_directory/keys
postern_arc_seal_domain = far.test
mynetworks = 127.0.0.9
smtpd_peername_lookup = no
postern_dns_servers = 127.0.0.1:${names.port}
postern_workers = 1
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination`,
      masterCf: `${ports.results} inet n - n - - smtpd -o postern_authentication_results=yes
  -o { body_checks = pcre:{{/^one/ REPLACE replaced}} }
${ports.refusing} inet n - n - - smtpd
  -o smtpd_recipient_restrictions=reject_spf_fail
  -o smtpd_end_of_data_restrictions=reject_dmarc_fail
${ports.plain} inet n - n - - smtpd
${ports.sealing} inet n - n - - smtpd -o postern_authentication_results=yes -o postern_arc_seal=yes
`,
      files: { keys: "far.test s key.pem\n", "key.pem": pem, aliases: "list bob@outside.test\n" },
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
    await names?.stop();
  });

  /** Replies to RCPT, and to the final dot if it came to that. */
  async function send(
    port: number,
    options: { from?: string; to?: string; client?: string; content: string },
  ): Promise<readonly string[]> {
    const { from = "a@far.test", to = "bob@example.org", client: address = "127.0.0.2", content } = options;
    const client = await Conversation.open(port, { from: address });
    await client.say("EHLO h.test");
    await client.say(`MAIL FROM:<${from}>`);
    const replies = [await client.say(`RCPT TO:<${to}>`)];
    if (replies[0]?.startsWith("250")) {
      await client.say("DATA");
      replies.push(await client.say(`${content}\r\n.`));
    }
    client.close();
    return replies;
  }

  async function arrived(subject: string): Promise<string> {
    const find = () => taken.find((content) => content.includes(`Subject: ${subject}\r\n`));
    await eventually(async () => assert.ok(find(), `${subject} has not arrived:\n${server.log()}`));
    return find() ?? "";
  }

  const FORGED =
    "Authentication-Results: mail.example.org; dmarc=pass\r\nAuthentication-Results: other.test; spf=pass\r\n";

  test("AR-01: results stand above all other trace fields, and forged ones are gone", async () => {
    await send(ports.results, { content: `${FORGED}From: a@far.test\r\nSubject: one\r\n\r\nx` });
    const content = await arrived("one");
    assert.match(
      content,
      /^Authentication-Results: mail\.example\.org;\r\n\tdkim=none [^;]*;\r\n\tspf=none[^;]*smtp\.helo=h\.test;\r\n\tspf=pass[^;]*smtp\.mailfrom=far\.test;\r\n\tdmarc=pass[^;]*header\.from=far\.test\r\nReceived: /,
    );
    assert.deepEqual(content.match(/^Authentication-Results:.*/gm)?.slice(1), [
      "Authentication-Results: other.test; spf=pass",
    ]);
  });

  test("AR-01: a trusted peer is believed, and asked about nothing", async () => {
    const before = names.asked.length;
    await send(ports.results, { client: "127.0.0.9", content: `${FORGED}From: a@far.test\r\nSubject: two\r\n\r\nx` });
    assert.deepEqual((await arrived("two")).match(/^Authentication-Results:.*/gm), FORGED.trimEnd().split("\r\n"));
    assert.deepEqual(names.asked.slice(before), []);
  });

  test("a message without a body is verified too", async () => {
    await send(ports.results, { client: "127.0.0.3", content: "From: a@far.test\r\nSubject: three" });
    assert.match(await arrived("three"), /\tdmarc=fail[^;]*policy\.dmarc=reject[^;]*\r\nReceived: /);
  });

  test("DKIM-01: the body is verified as it came, whatever body_checks make of it", async () => {
    const fields = [
      { name: "from", text: "From: a@far.test" },
      { name: "subject", text: "Subject: ten" },
    ];
    const hash = new BodyHash("relaxed");
    hash.update(Buffer.from("one\r\n\r\ntwo \r\n"));
    const options = {
      header: "relaxed",
      body: "relaxed",
      bodyHash: hash.digest(),
      nowMs: Date.now(),
      lifetimeS: 0,
    } as const;
    const signature = await signMessage(fields, { ...key, domain: "far.test", selector: "s" }, options);
    const content = `${signature}\r\n${fields.map(({ text }) => text).join("\r\n")}\r\n\r\none\r\n\r\ntwo \r\n`;
    await send(ports.results, { client: "127.0.0.3", content: content.trimEnd() });
    const changed = await arrived("ten");
    assert.match(changed, /^Authentication-Results: [^;]*;\r\n\tdkim=pass [\s\S]*\tspf=fail [\s\S]*\tdmarc=pass /);
    assert.match(changed, /\r\n\r\nreplaced\r\n\r\ntwo\s*$/);
  });

  test("a service without it touches nothing and asks nobody", async () => {
    const before = names.asked.length;
    await send(ports.plain, { content: `${FORGED}From: a@far.test\r\nSubject: four\r\n\r\nx` });
    const content = await arrived("four");
    assert.match(content, /^Received: /);
    assert.equal(content.match(/^Authentication-Results:/gm)?.length, 2);
    assert.deepEqual(names.asked.slice(before), []);
  });

  test("SPF-01: reject_spf_fail refuses at RCPT", async () => {
    const replies = await send(ports.refusing, { client: "127.0.0.3", content: "" });
    assert.deepEqual(replies, [
      "550 5.7.23 <a@far.test>: Sender address rejected: SPF: far.test does not let 127.0.0.3 send its mail",
    ]);
  });

  test("DMARC-02: reject_dmarc_fail refuses at the end of data, without a field where none is wanted", async () => {
    const content = (subject: string, from: string) => `From: ${from}\r\nSubject: ${subject}\r\n\r\nx`;
    const [, refused] = await send(ports.refusing, { from: "a@none.test", content: content("five", "a@far.test") });
    assert.equal(
      refused,
      "550 5.7.26 <END-OF-MESSAGE>: End-of-data rejected: DMARC: far.test asks to reject mail that neither SPF nor DKIM vouches for",
    );
    const [, twice] = await send(ports.refusing, { content: content("six", "a@far.test\r\nFrom: b@far.test") });
    assert.match(twice ?? "", /^550 5\.7\.1 .*no author to verify: multiple from fields$/);
    const bare = "From: a@far.test\r\nSubject: no body";
    assert.match((await send(ports.refusing, { from: "a@none.test", content: bare }))[1] ?? "", /^550 5\.7\.26 /);
    assert.match((await send(ports.refusing, { content: bare }))[1] ?? "", /^250 /);
    await send(ports.refusing, { content: content("seven", "a@far.test") });
    assert.match(await arrived("seven"), /^Received: /);
    assert.ok(!taken.some((one) => /Subject: (?:five|six)\r/.test(one)));
  });

  test("ARC-01: what an alias sends on is sealed over what arrives", async () => {
    for (const [subject, to] of [
      ["eight", "bob@example.org"],
      ["nine", "list@local.test"],
    ] as const) {
      await send(ports.sealing, {
        to,
        content: `${FORGED}From: a@far.test\r\nSubject: ${subject}\r\n\r\nx \r\n..y\r\n`,
      });
      const content = await arrived(subject);
      assert.match(
        content,
        /^(?:Received: [\s\S]*)?ARC-Seal: i=1;[\s\S]*\nARC-Authentication-Results: i=1; mail\.example\.org;[\s\S]*\nAuthentication-Results: mail/m,
      );
      const zone = names.zone["s._domainkey.far.test TXT"]?.answers?.[0];
      const resolver = async () => [[zone?.type === "TXT" ? [zone.data].flat().join("") : ""]];
      const verified = await dkimVerify(Buffer.from(content, "latin1"), { resolver });
      const { status } = await arc((verified as unknown as { arc: never }).arc, { resolver } as never);
      assert.equal(status.result, "pass", content);
    }
  });
});
