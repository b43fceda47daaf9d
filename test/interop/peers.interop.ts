/** The bad peers of test/peers/ against a real Postfix: what becomes of its mail must be what becomes of ours. Where it may
 *  not, the script says so with `postfix:` lines. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Peer, parsePeers } from "../peers/peer-file.ts";
import { newAccount, PeerServer } from "../peers/peer-server.ts";
import { filledIn, nexthopOf, plainHosts, settingsOf } from "../peers/play.ts";
import { Conversation } from "../testbed/conversation.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort } from "../testbed/server.ts";

const OPTIONS = { concurrency: 8, timeout: 280_000, skip: !hasPostfix() && "not installed, or not root" };
const WAIT_MS = 20_000;
const DIRECTORY = new URL("../peers/", import.meta.url);

interface Place {
  readonly peer: Peer;
  readonly servers: readonly PeerServer[];
  readonly domain: string;
  readonly label: string;
}

/** One delivery, in plain ASCII, with parameters that this Postfix knows. */
function isComparable(peer: Peer): boolean {
  const [words, more] = peer.deliveries;
  return words !== undefined && more === undefined && !words.smtputf8 && words.to.every((to) => !to.includes("@"));
}

function readPeers(): readonly { peer: Peer; file: string }[] {
  const files = readdirSync(DIRECTORY).filter((name) => name.endsWith(".smtp"));
  return files.flatMap((file) => {
    const peers = parsePeers(readFileSync(new URL(file, DIRECTORY), "utf8"), file);
    return peers.filter(isComparable).map((peer) => ({ peer, file }));
  });
}

describe("bad peers and Postfix", OPTIONS, () => {
  const places: Place[] = [];
  let postfix: TestPostfix;

  before(async () => {
    for (const [i, { peer, file }] of readPeers().entries()) {
      const servers = Array.from({ length: peer.hosts }, (_, n) => new PeerServer(n + 1, peer, newAccount()));
      places.push({ peer, servers, domain: `p${i}.test`, label: `${file}: ${peer.title}` });
    }
    postfix = await startPostfix(places);
  });
  after(async () => {
    postfix?.stop();
    for (const { servers } of places) for (const server of servers) await server.stop().catch(() => undefined);
  });

  for (const [i, { peer, file }] of readPeers().entries()) {
    test(`${file}: ${peer.title}`, async () => {
      const place = places[i];
      assert.ok(place);
      await send(postfix.port, place);
      const outcomes = await outcomesOf(postfix, place);
      const [words] = peer.deliveries;
      const wants = peer.postfix.length > 0 ? peer.postfix : (words?.wants ?? []);
      for (const recipient of words?.to ?? []) {
        const want = wants.find((w) => w.recipient === recipient) ?? wants.find((w) => w.recipient === "*");
        const got = outcomes.get(recipient) ?? "nothing";
        assert.equal(got, filledIn({ outcome: want?.outcome ?? "" }, got).outcome, recipient);
      }
      // Its Received field is in front: no content is the same as a whole.
      for (const text of peer.got.filter((part) => !part.startsWith("^"))) {
        const contents = place.servers.flatMap(({ account }) => account.contents);
        assert.ok(
          contents.some((content) => content.includes(text)),
          `not got: ${JSON.stringify(text)}\n${contents.map((c) => JSON.stringify(c))}`,
        );
      }
    });
  }
});

async function startPostfix(places: readonly Place[]): Promise<TestPostfix> {
  const routes: string[] = [];
  const services: string[] = [];
  for (const { peer, servers, domain } of places) {
    const ports: number[] = [];
    for (const server of servers) ports.push(await server.start());
    routes.push(`${domain} ${domain}:${nexthopOf(peer, ports)}`);
    const settings = Object.entries(settingsOf(peer, ports)).map(([name, value]) => `  -o { ${name} = ${value} }\n`);
    services.push(`${domain} unix - - n - - ${peer.protocol}\n${settings.join("")}`);
  }
  const postfix = new TestPostfix(await freePort(), {
    mainCf: `mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
message_size_limit = 0
smtp_connection_cache_on_demand = no
minimal_backoff_time = 300s
smtpd_discard_ehlo_keywords = chunking`,
    smtpdOptions: services.join(""),
  });
  writeFileSync(join(postfix.directory, "transport"), `${routes.join("\n")}\n`);
  const main = readFileSync(join(postfix.directory, "main.cf"), "utf8");
  writeFileSync(
    join(postfix.directory, "main.cf"),
    `${main}transport_maps = texthash:${postfix.directory}/transport\n`,
  );
  await postfix.start();
  return postfix;
}

async function send(port: number, { peer, domain }: Place): Promise<void> {
  const [words] = peer.deliveries;
  const client = await Conversation.open(port);
  await client.say("EHLO client.example");
  const body = /[\x80-\xff]/.test(words?.content ?? "") ? " BODY=8BITMIME" : "";
  await client.say(`MAIL FROM:<${words?.from ?? "sender@example.org"}>${body}`);
  for (const to of words?.to ?? []) assert.match(await client.say(`RCPT TO:<${to}@${domain}>`), /^250/);
  await client.say("DATA");
  const content = words?.content ?? "Subject: hi\r\n\r\nhello\r\n";
  client.write(Buffer.from(`${content.replace(/^\./gm, "..")}\r\n.\r\n`, "latin1"));
  assert.match(await client.reply(), /^250/);
  client.close();
}

/** Of the first delivery, by recipient. */
async function outcomesOf(postfix: TestPostfix, { peer, domain }: Place): Promise<ReadonlyMap<string, string>> {
  const line = new RegExp(`to=<([^@>]*)@${domain}>, .*dsn=([0-9.]+), status=(\\w+) \\((.*)\\)$`, "gm");
  const count = peer.deliveries[0]?.to.length ?? 0;
  for (const end = Date.now() + WAIT_MS; ; await sleep(200)) {
    const found = [...postfix.log().matchAll(line)];
    if (found.length >= count || Date.now() > end) {
      return new Map(found.map(([, to = "", dsn, status, text]) => [to, plainHosts(`${status} ${dsn} ${text}`)]));
    }
  }
}
