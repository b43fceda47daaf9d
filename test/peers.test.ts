/** Plays test/peers/*.smtp: bad servers, and what becomes of the mail for them. Notation: test/peers/peer-file.ts. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parsePeers } from "./peers/peer-file.ts";
import { judge, playPeer } from "./peers/play.ts";

const DIRECTORY = new URL("./peers/", import.meta.url);

for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".smtp"))) {
  const peers = parsePeers(readFileSync(new URL(file, DIRECTORY), "utf8"), file);
  describe(file, { concurrency: 16, timeout: 60_000 }, () => {
    for (const peer of peers) test(`${peer.title} (line ${peer.line})`, async () => judge(peer, await playPeer(peer)));
  });
}
