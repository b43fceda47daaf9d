/** authentication/hostile.test.ts: what a stranger chooses costs a bounded number of questions and a bounded time, and hides nothing. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { CameField } from "../mail/message-authentication.ts";
import { Questions, SPENT } from "./questions.ts";
import { FROM, NOW, open, STRANGER, unfolded, verdictOf, ZONE } from "./testdata/message.ts";
import { fieldsOf, signed, zoneDns } from "./testdata/zone.ts";

describe("what a stranger can make it cost", () => {
  const signature = (i: number, names = "from") =>
    `DKIM-Signature: v=1; a=rsa-sha256; d=good.test; s=n${i}; h=${names};\r\n\tbh=YWxsIHplcm9zIGFyZSBub3QgYSBoYXNo; b=YWJj`;

  test("DKIM-01: signatures above the limit are passed over", async () => {
    const many = Array.from({ length: 3000 }, (_, i) => signature(i)).join("\r\n");
    const asked: string[] = [];
    const { field } = await verdictOf(fieldsOf(`${many}\r\nFrom: a@good.test`), { asked });
    assert.equal(field.match(/dkim=/g)?.length, 10);
    assert.ok(asked.length < 40, asked.join("\n"));
  });

  test("DKIM-01: a signature that names thousands of fields is refused unread", async () => {
    const names = Array.from({ length: 3000 }, () => "from").join(":");
    const { field } = await verdictOf(fieldsOf(`${signature(1, names)}\r\nFrom: a@good.test`));
    assert.match(unfolded(field), /dkim=neutral \(too many signed fields\)/);
  });

  test("DKIM-01: of a message with thousands of fields no signature is verified", async () => {
    const fields = await signed(FROM("a@good.test"), "x\r\n", { domain: "good.test", selector: "s", nowMs: NOW });
    const { field } = await verdictOf([...fields, ...Array.from({ length: 5000 }, () => ({ name: "x", text: "X:" }))]);
    assert.match(unfolded(field), /dkim=neutral \(too many header fields\)/);
    const fewer = await verdictOf([...fields, ...Array.from({ length: 4000 }, () => ({ name: "x", text: "X:" }))]);
    assert.match(fewer.field, /dkim=pass/);
  });

  test("DMARC-02: of many From fields not all are read", async () => {
    const { dmarc } = await verdictOf(fieldsOf("From: a@good.test\r\n".repeat(9).trimEnd()));
    assert.equal(dmarc.noAuthor, "multiple from fields");
  });

  test("DMARC-02: a From that is too long to be read names no author", async () => {
    const { dmarc } = await verdictOf(fieldsOf(`From: a@good.test,${" (x)".repeat(10_000)}`));
    assert.equal(dmarc.noAuthor, "no author domain");
  });

  test("what the name service throws because nobody may ask it comes out, for explain", async () => {
    const silent = { ...zoneDns(ZONE), txt: () => Promise.reject(new Error("not to be asked")) };
    const authenticator = open({ dns: silent });
    await assert.rejects(async () => authenticator.begin(STRANGER).spf(), /not to be asked/);
  });

  test("what asks more questions than any message needs is not answered", async () => {
    const { resolve } = new Questions({ dns: zoneDns(ZONE), clock: { monotonic: () => 0 }, timeoutMs: 1 });
    for (let i = 0; i < 150; i++) await resolve("good.test", "TXT");
    await assert.rejects(resolve("good.test", "TXT"), { code: SPENT });
  });

  test("SPF of a domain with hundreds of mail exchangers asks for ten", async () => {
    const asked: string[] = [];
    const hosts = Array.from({ length: 400 }, (_, i) => `10 h${i}.flood.test`);
    const zone = { "TXT flood.test": ["v=spf1 mx a ptr -all"], "MX flood.test": hosts };
    const authenticator = open({ dns: zoneDns(zone, asked) });
    await authenticator.begin({ ...STRANGER, helo: "flood.test", sender: "a@flood.test" }).spf();
    assert.ok(asked.length < 60, String(asked.length));
  });

  test("when the time is over what is not known yet is a temperror", async () => {
    let now = 0;
    const authenticator = open({
      monotonic: () => now,
      dns: {
        ...zoneDns(ZONE),
        txt: async (name) => {
          now += 19_999;
          return (await zoneDns(ZONE).txt?.(name)) ?? { kind: "temporary", text: "" };
        },
      },
    });
    const checks = await authenticator.begin({ ...STRANGER, helo: undefined, sender: "a@twelve.test" }).spf();
    assert.deepEqual(
      checks?.map(({ result }) => result),
      ["temperror"],
    );
  });

  test("no header makes it fail or pass DMARC for a domain that did not sign", async () => {
    const piece = fc.constantFrom(
      ...[
        "From",
        "DKIM-Signature",
        "ARC-Seal",
        "ARC-Message-Signature",
        "ARC-Authentication-Results",
        ": ",
        ":",
        "\r\n",
      ],
      ...[
        "\r\n ",
        ";",
        "=",
        "v=1",
        "i=1",
        "i=51",
        "cv=none",
        "a=rsa-sha256",
        "d=good.test",
        "s=s",
        "h=from",
        "b=",
        "bh=",
        "c=relaxed",
      ],
      ...[
        "a@good.test",
        "<",
        ">",
        "@",
        '"',
        "(",
        ")",
        ",",
        "l=0",
        "t=99999999999999999999",
        "x=-1",
        "\xff",
        "\x00",
        "=",
      ],
    );
    const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(""));
    const liar = { ...STRANGER, clientAddress: "198.51.100.9", helo: "x" };
    await fc.assert(
      fc.asyncProperty(text, async (header) => {
        const { dmarc, field } = await verdictOf(fieldsOf(`From: a@good.test\r\n${header}`), { from: liar });
        assert.notEqual(dmarc.result, "pass");
        assert.match(field, /^Authentication-Results: mx\.test;(?:\r\n\t[^\r\n]+)+$/);
      }),
      { numRuns: 300 },
    );
  });
});

describe("slow answers that a stranger chooses", () => {
  /** A clock that every question about slow.test moves on by almost all the time there is. */
  function openSlow() {
    let now = 0;
    const fast = zoneDns({ ...ZONE, "TXT slow.test": ["v=spf1 include:a.slow.test include:b.slow.test -all"] });
    const authenticator = open({
      monotonic: () => now,
      dns: {
        ...fast,
        txt: async (name) => {
          if (/(?:^|\.)slow\.(?:co\.)?test$/.test(name)) now += 15_000;
          return (await fast.txt?.(name)) ?? { kind: "temporary", text: "" };
        },
      },
    });
    return authenticator;
  }
  const bogus = (domain: string) => ({
    name: "dkim-signature",
    text: `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=${domain}; s=s; h=from; bh=${X_HASH}; b=YWJj`,
  });
  /** Of "x\r\n". */
  const X_HASH = createHash("sha256").update("x\r\n").digest("base64");
  const SLOW = Array.from({ length: 4 }, (_, i) => bogus(`${"abcd"[i]}.slow.test`));
  const STRANGE = { ...STRANGER, clientAddress: "198.51.100.9", helo: "slow.test" };

  async function verdict(fields: readonly CameField[]) {
    const message = openSlow().begin(STRANGE);
    await message.header(fields);
    message.update(Buffer.from("x\r\n"));
    return message.verdict();
  }

  test("DMARC-02: leave time to find that the author's domain has not signed", async () => {
    const found = await verdict([...SLOW, bogus("good.test"), ...fieldsOf(FROM("a@good.test"))]);
    assert.equal(found?.dmarc.result, "fail");
    assert.equal(found?.dmarc.policy, "reject");
  });

  test("DMARC-01: leave time to find that it has", async () => {
    const own = await signed(FROM("a@good.test"), "x\r\n", { domain: "good.test", selector: "s", nowMs: NOW });
    const found = await verdict([...SLOW, ...own]);
    assert.equal(found?.dmarc.result, "pass");
  });

  test("DMARC-02: what nobody had time to ask about does not count in favour", async () => {
    const near = Array.from({ length: 4 }, (_, i) => bogus(`${"abcd"[i]}.slow.co.test`));
    const found = await verdict([...near, bogus("bank.co.test"), ...fieldsOf(FROM("a@bank.co.test"))]);
    assert.equal(found?.dmarc.result, "fail");
  });

  test("SPF-01: of HELO do not use up the time of MAIL FROM", async () => {
    const checks = await openSlow()
      .begin({ ...STRANGE, sender: "a@three.test" })
      .spf();
    assert.deepEqual(
      checks.map(({ identity, result }) => `${identity} ${result}`),
      ["helo permerror", "mailfrom fail"],
    );
  });
});
