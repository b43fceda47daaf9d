/** cli/dkim-generate.test.ts: `postern dkim generate` leaves keys that are there as they are (the rest: test/dkim.test.ts). */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { dkim } from "./dkim.ts";

let root = "";

before(() => {
  root = mkdtempSync(join(tmpdir(), "postern-dkim-"));
  writeFileSync(join(root, "main.cf"), "compatibility_level = 3.10\nmyhostname = mail.example.org\n");
  writeFileSync(join(root, "master.cf"), "smtp inet n - n - - smtpd\n");
});
after(() => rmSync(root, { recursive: true }));

async function generate(domain: string, more: readonly string[] = []) {
  let err = "";
  const code = await dkim(["generate", domain, ...more], {
    configDirectory: root,
    verbose: false,
    colours: false,
    stdout: () => undefined,
    stderr: (text) => {
      err += text;
    },
    stdin: async () => "",
  });
  return { code, err };
}

/** A key file that no line of the signing file names. */
function leaveKey(domain: string, name: string): string {
  mkdirSync(join(root, "dkim", domain), { recursive: true });
  const path = join(root, "dkim", domain, name);
  writeFileSync(path, "the only copy");
  return path;
}

describe("postern dkim generate", () => {
  test("with a selector of which one key is there changes nothing", async () => {
    const path = leaveKey("one.example", "mailr.pem");
    const { code, err } = await generate("one.example", ["--selector", "mail"]);
    assert.equal(code, 1);
    assert.match(err, /mailr\.pem is there already; give another --selector\n$/);
    assert.equal(readFileSync(path, "utf8"), "the only copy");
    assert.deepEqual(readdirSync(join(root, "dkim", "one.example")), ["mailr.pem"]);
  });

  test("with a selector of which the second is taken makes no key", async () => {
    mkdirSync(join(root, "dkim", "two.example"), { recursive: true });
    writeFileSync(join(root, "dkim", "keys"), "two.example maile two.example/old.pem retired\n");
    const { code, err } = await generate("two.example", ["--selector", "mail"]);
    assert.equal(code, 1);
    assert.match(err, /two\.example has a selector "maile" already; give another --selector\n$/);
    assert.deepEqual(readdirSync(join(root, "dkim", "two.example")), []);
  });

  test("without one finds a selector that no file has", async () => {
    const month = new Date().toISOString().slice(0, 7).replace("-", "");
    const path = leaveKey("three.example", `${month}e.pem`);
    assert.deepEqual(await generate("three.example"), { code: 0, err: "" });
    assert.equal(readFileSync(path, "utf8"), "the only copy");
    assert.deepEqual(readdirSync(join(root, "dkim", "three.example")).length, 3);
  });
});
