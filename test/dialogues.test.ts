/** Runs test/dialogues/*.smtp against a real SMTP service on loopback. Notation, one step a line:
 *
 *    = name = value   a parameter, before the session; also: notls, nosasl, debug, free, excluded
 *    C: text          the client sends a line; neighbouring C and R lines go out in one write
 *    R: "text"        the same with escapes and without CRLF, one character a byte
 *    S: text          the server answers this line; … stands for anything
 *    T:               the client does a TLS handshake
 *    X:               the server has closed
 *    L: text          afterwards the log has a line with this text; … as above;  !L: it has none
 *    M: "text"        afterwards this is the content of the next kept message;  M: none  there is no further one
 *    E: text          and this its envelope: filter, hold, discard, prepended fields, recipients, how many were accepted, DSN */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Recipient } from "../src/mail/envelope.ts";
import { Client } from "./dialogues/client.ts";
import { type KeptMessage, type Service, startService } from "./dialogues/edges.ts";
import { matches, parseScripts, type Script, type Step } from "./dialogues/script.ts";

const DIRECTORY = new URL("./dialogues/", import.meta.url);

const MARKS = ["C", "R", "S", "T", "X", "L", "!L", "M", "E"];

async function run(script: Script, service: Service): Promise<void> {
  const client = await Client.connect(service.port);
  try {
    let output = "";
    for (const step of script.steps) {
      if (step.kind === "C") output += `${Buffer.from(step.text).toString("latin1")}\r\n`;
      else if (step.kind === "R") output += JSON.parse(step.text);
      else {
        if (output !== "") client.send(output);
        output = "";
        await expectStep(step, client);
      }
    }
  } finally {
    client.close();
  }
  await service.close();
  assert.equal(service.reserved(), 0, "what was reserved for held mail is free when the session is over");
  checkAfterwards(script.steps, service);
}

async function expectStep(step: Step, client: Client): Promise<void> {
  const where = `line ${step.line}`;
  if (step.kind === "S") {
    const line = Buffer.from(await client.line(), "latin1").toString("utf8");
    assert.ok(matches(step.text, line, true), `${where}: expected "${step.text}", got "${line}"`);
  } else if (step.kind === "X") assert.equal(await client.line(), "(closed)", where);
  else if (step.kind === "T") assert.equal(await client.startTls(), true, where);
}

/** What access(5) actions have made of the envelope. */
function showEnvelope({ options, extra }: KeptMessage): string {
  const { envelope, recipients, accepted = recipients, prepend } = options;
  const to = recipients.map((r) => (r.original === r.address ? r.address : `${r.address}<${r.original}`));
  return [
    ...(envelope.filter === undefined ? [] : [`filter=${envelope.filter}`]),
    ...(extra.hold ? ["hold"] : []),
    ...(extra.discard ? ["discard"] : []),
    ...(prepend.length > 0 ? [`prepend=${prepend.join("|")}`] : []),
    `to=${to.join(",")}`,
    `accepted=${accepted.length}`,
    ...(envelope.requireTls ? ["requiretls"] : []),
    ...(envelope.body === "BINARYMIME" ? ["binarymime"] : []),
    ...(envelope.futureRelease ? [`hold=${envelope.futureRelease.request}`] : []),
    ...(envelope.deliverBy ? [`by=${envelope.deliverBy.mode}${envelope.deliverBy.trace ? "T" : ""}`] : []),
    ...(envelope.priority === undefined ? [] : [`priority=${envelope.priority}`]),
    ...(options.tunnel ? [`tunnel=${options.tunnel.given ? "given" : "open"}`] : []),
    ...(envelope.dsn?.ret === undefined ? [] : [`ret=${envelope.dsn.ret}`]),
    ...(envelope.dsn?.envid === undefined ? [] : [`envid=${JSON.stringify(envelope.dsn.envid)}`]),
    ...recipients.flatMap(showDsn),
  ].join(" ");
}

/** `b=SUCCESS,DELAY;"rfc822;b@example.net"`: NOTIFY and ORCPT of the recipient b@…. */
function showDsn({ address, dsn }: Recipient): readonly string[] {
  if (dsn === undefined) return [];
  const orcpt = dsn.orcpt === undefined ? "" : `;${JSON.stringify(dsn.orcpt)}`;
  return [`${address.split("@")[0]}=${dsn.notify?.join(",") ?? ""}${orcpt}`];
}

function checkAfterwards(steps: readonly Step[], service: Service): void {
  const kept = service.messages.filter((m) => m.state === "kept");
  let message: KeptMessage | undefined;
  for (const { kind, text, line } of steps) {
    const logged = () => service.log.some((entry) => matches(text, entry, false));
    if (kind === "L") assert.ok(logged(), `line ${line}: not in the log: ${text}\n${service.log.join("\n")}`);
    if (kind === "!L") assert.ok(!logged(), `line ${line}: in the log: ${text}\n${service.log.join("\n")}`);
    if (kind === "M") {
      message = kept.shift();
      assert.equal(message?.content, text === "none" ? undefined : JSON.parse(text), `line ${line}`);
    }
    if (kind === "E") assert.equal(message && showEnvelope(message), text, `line ${line}`);
  }
  assert.ok(
    service.messages.every((m) => m.state !== "open"),
    "a message was neither kept nor aborted",
  );
}

for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".smtp"))) {
  for (const script of parseScripts(readFileSync(new URL(file, DIRECTORY), "utf8"), MARKS)) {
    test(`${file}: ${script.name}`, async () => run(script, await startService(script.settings)));
  }
}
