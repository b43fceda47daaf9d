/** cli/dkim.test.ts: which name servers `postern dkim check` asks. What it does with keys is tested with a server (test/dkim.test.ts). */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Answer } from "dns-packet";
import { runCommand } from "../../test/testbed/captured-terminal.ts";
import { generateKey, parseKey, publicRecord } from "../dkim/key.ts";
import { ZoneServer } from "../dns/testdata/zone-server.ts";
import { dkim } from "./dkim.ts";

const NAME = "s1._domainkey.example.org";

let directory: string;
let right: ZoneServer;
let empty: ZoneServer;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "postern-dkim-"));
  const pem = generateKey("ed25519-sha256");
  const key = parseKey(Buffer.from(pem));
  assert.ok(!("problem" in key));
  const record = { name: NAME, type: "TXT", data: [publicRecord(key)] } as unknown as Answer;
  right = await ZoneServer.start({ [`${NAME} TXT`]: { answers: [record] } });
  empty = await ZoneServer.start({});
  writeFileSync(join(directory, "k.pem"), pem);
  writeFileSync(join(directory, "keys"), "example.org s1 k.pem publish\n");
  writeFileSync(join(directory, "master.cf"), "");
});
after(async () => {
  await right.stop();
  await empty.stop();
  rmSync(directory, { recursive: true });
});

const CASES = [
  { named: () => right, given: () => undefined, want: 0, why: "those of postern_dns_servers" },
  { named: () => empty, given: () => right, want: 0, why: "--server before them" },
  { named: () => right, given: () => empty, want: 1, why: "--server alone, although they know better" },
];
for (const { named, given, want, why } of CASES) {
  test(`dkim check asks ${why}`, async () => {
    const main = `compatibility_level = 3.10\npostern_dkim_signing_file = ${directory}/keys\n`;
    writeFileSync(join(directory, "main.cf"), `${main}postern_dns_servers = 127.0.0.1:${named().port}\n`);
    const server = given();
    const words = server === undefined ? [] : ["--server", `127.0.0.1:${server.port}`];
    const { code, out, err } = await runCommand(dkim, ["check", ...words], { configDirectory: directory });
    assert.equal(code, want, out + err);
  });
}

for (const words of [["--server"], ["--server", "ns.test"]]) {
  test(`dkim check ${words.join(" ")} is wrong usage`, async () => {
    const { code, err } = await runCommand(dkim, ["check", ...words], { configDirectory: directory });
    assert.equal(code, 64);
    assert.match(err, new RegExp(`^postern: dkim: --server: no address: "${words[1] ?? ""}"\n`));
  });
}
