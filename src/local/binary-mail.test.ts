import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bodyLimits } from "../cleanup/reencode.ts";
import { parametersOf } from "../config/parameters.ts";
import { withoutBinary } from "./binary-mail.ts";
import { never, requestFor, Site, told } from "./testdata/site.ts";

const BINARY = "Subject: x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\r\r\n";
const SIGNED = `Content-Type: multipart/signed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n--b\r\n${BINARY}--b--\r\n`;

async function deliver(t: { after(run: () => void): void }, to: string, message: string) {
  const site = new Site({ users: ["alice"], settings: { alias_maps: "inline:{ {list = x@far.test} }" } });
  t.after(() => site.remove());
  const agent = withoutBinary(site.agent, bodyLimits(parametersOf({})));
  const request = requestFor([to], { message });
  const [outcome] = await agent.deliver({ ...request, envelope: { ...request.envelope, body: "BINARYMIME" } }, never);
  const directory = join(site.home("alice"), "Maildir/new");
  const mail = () => readdirSync(directory).map((name) => readFileSync(join(directory, name), "latin1"));
  return { outcome, mail };
}

test("BDAT-09: binary content is base64 in a mailbox, whose lines have ends of their own", async (t) => {
  const { outcome, mail } = await deliver(t, "alice@here.test", BINARY);
  assert.equal(outcome?.kind, "sent");
  assert.match(mail().join(), /\nSubject: x\nContent-Transfer-Encoding: base64\n\nAAoNDQo=\n$/);
});

test("BDAT-09: what an alias forwards stays binary", async (t) => {
  const { outcome } = await deliver(t, "list@here.test", BINARY);
  assert.deepEqual(
    outcome?.forwards?.map(({ envelope }) => envelope.body),
    ["BINARYMIME"],
  );
});

test("BDAT-09: what cannot be converted without loss is returned", async (t) => {
  const { outcome } = await deliver(t, "alice@here.test", SIGNED);
  assert.deepEqual(outcome && told(outcome), [
    "bounced 5.6.3 binary content cannot be delivered here, and not be converted: binary content within a signed part",
  ]);
});
