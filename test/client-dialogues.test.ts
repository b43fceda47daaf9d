/** What real mail clients send, client by client (test/dialogues/clients/*.smtp), to one real server; what its next hop
 *  gets is compared byte by byte with test/dialogues/clients/golden/. Only queue ids and the time of the run are
 *  replaced by words. `node test/client-dialogues.test.ts --update` writes the golden files anew; read the diff. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Client } from "./dialogues/client.ts";
import { matches, parseScripts, type Script, type Step } from "./dialogues/script.ts";
import { type ClientSite, startClientSite } from "./testbed/client-site.ts";

const DIRECTORY = new URL("./dialogues/clients/", import.meta.url);
const GOLDEN = new URL("golden/", DIRECTORY);
const UPDATE = process.argv.includes("--update");
/** Beyond those of test/dialogues.test.ts: `F: bytes "text"` sends the text again and again, so many bytes of it. */
const MARKS = ["C", "R", "F", "S", "T", "X"];

async function converse(script: Script, site: ClientSite): Promise<number> {
  const client = await Client.connect(site.ports[script.settings["service"] ?? "submission"] ?? 0);
  let queued = 0;
  let output = "";
  let expected: Step[] = [];
  try {
    for (const step of script.steps) {
      if (step.kind === "C") output += `${Buffer.from(step.text).toString("latin1")}\r\n`;
      else if (step.kind === "R") output += JSON.parse(step.text);
      else if (step.kind === "F") output += filler(step.text);
      else {
        if (output !== "") client.send(output);
        output = "";
        if (step.kind === "T") assert.equal(await client.startTls(), true, `line ${step.line}`);
        else if (step.kind === "X") assert.equal(await client.line(), "(closed)", `line ${step.line}`);
        else expected.push(step);
        // "250-…" goes on; the reply ends with the line that has no hyphen.
        if (step.kind !== "S" || step.text[3] === "-") continue;
        if ((await expectReply(expected, client)).includes("queued as")) queued++;
        expected = [];
      }
    }
  } finally {
    client.close();
  }
  return queued;
}

function filler(text: string): string {
  const [bytes = "", ...rest] = text.split(" ");
  const piece: string = JSON.parse(rest.join(" "));
  return piece.repeat(Math.ceil(Number(bytes) / piece.length)).slice(0, Number(bytes));
}

/** A reply may have more lines than are expected, which come in this order; the last line must be the last one expected.
 *  `250 …` is any end of it. Returns the last line. */
async function expectReply(expected: readonly Step[], client: Client): Promise<string> {
  const lines: string[] = [];
  do lines.push(await client.line());
  while (/^\d{3}-/.test(lines.at(-1) ?? ""));
  let at = 0;
  for (const step of expected) {
    while (at < lines.length && !matches(step.text, lines[at] ?? "", true)) at++;
    assert.ok(at < lines.length, `line ${step.line}: expected "${step.text}", got "${lines.join(" | ")}"`);
    at++;
  }
  assert.equal(at, lines.length, `line ${expected.at(-1)?.line}: more followed: ${lines.slice(at).join(" | ")}`);
  return lines.at(-1) ?? "";
}

/** Queue ids, and times that are now, by words. */
function settled(received: string, nowMs: number): string {
  const recent = (text: string) => Math.abs(Date.parse(text.replace(/ \([^)]*\)$/, "")) - nowMs) < 3_600_000;
  return received
    .replace(/<\d{14}\.[0-9A-Za-z]+@/g, "<TIME.QUEUEID@")
    .replace(/(\) with \w+ id )[0-9A-Za-z]+/g, "$1QUEUEID")
    .replace(/\w{3}, \d\d? \w{3} \d{4} [\d:]{8} [+-]\d{4}(?: \([^)]*\))?/g, (date) => (recent(date) ? "NOW" : date));
}

function fileOf(name: string): URL {
  return new URL(`${name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.eml`, GOLDEN);
}

describe("what clients send arrives as in the golden files", { concurrency: false, timeout: 120_000 }, () => {
  let site: ClientSite;
  before(async () => {
    mkdirSync(GOLDEN, { recursive: true });
    process.env.TZ = "UTC"; // dates that the server mends are in its own time zone
    site = await startClientSite();
  });
  after(async () => {
    Client.closeAll();
    await site?.[Symbol.asyncDispose]();
  });
  for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".smtp"))) {
    for (const script of parseScripts(readFileSync(new URL(file, DIRECTORY), "utf8"), MARKS)) {
      test(`${file}: ${script.name}`, async () => {
        const queued = await converse(script, site);
        assert.ok(queued > 0, "no mail got through");
        const received = (await site.received(queued)).map((one) => settled(one, Date.now()));
        const whole = Buffer.from(received.sort().join(""), "latin1");
        const golden = fileOf(`${file.replace(/\.smtp$/, "")} ${script.name.replace(/ \(.*\)$/, "")}`);
        if (UPDATE) writeFileSync(golden, whole);
        assert.equal(whole.toString("latin1"), readFileSync(golden, "latin1"));
      });
    }
  }
});
