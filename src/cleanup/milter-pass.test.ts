/** Messages before Milters without a session in front: what they are told, what they change, and what becomes of that. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, beforeEach, test } from "node:test";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { numbered, type ScriptedMilter, startMilter } from "../../test/testbed/scripted-milter.ts";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { parametersOf } from "../config/parameters.ts";
import { createSigner } from "../dkim/create.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import { createOtherMilters } from "../milter/milters.ts";
import type { NewMessage, StoredBody } from "../queue/store.ts";
import { createResolver } from "../rewrite/create.ts";
import { createMappings } from "../rewrite/mappings.ts";
import { createTableOpener } from "../tables/open.ts";
import { createMilterChecks } from "./content-checks.ts";
import { createCleanup } from "./create.ts";

type Said = string | Buffer;
let lines: string[] = [];
let aborted = 0;
let answer: (command: string, data: Buffer) => Said | readonly Said[] | undefined = () => undefined;
const log = new Log({ sink: ({ text }) => lines.push(text), now: () => 0, tag: "postfix/cleanup", id: 1 });
const milter: ScriptedMilter = await startMilter({ answer: (command, data) => answer(command, data) });
const second: ScriptedMilter = await startMilter();
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const RECORD = `v=DKIM1; k=ed25519; p=${publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64")}`;

after(async () => {
  await milter.close();
  await second.close();
});
beforeEach(() => {
  lines = [];
  aborted = 0;
  milter.events.length = 0;
  second.events.length = 0;
});

function memoryStore() {
  const appended: NewMessage[] = [];
  return {
    appended,
    beginBody: () => {
      const parts: Uint8Array[] = [];
      const writer = {
        sizeBytes: 0,
        write: (chunk: Uint8Array) => {
          writer.sizeBytes += chunk.length;
          parts.push(chunk);
        },
        finish: (): StoredBody => ({ kind: "inline", bytes: Buffer.concat(parts) }),
        abort: async () => {
          aborted++;
        },
      };
      return writer;
    },
    readBody: (body: StoredBody) => (body.kind === "inline" ? [body.bytes] : []),
    append: async (message: NewMessage) => {
      appended.push(message);
      return undefined;
    },
  };
}

const files = {
  read: (path: string) =>
    path.endsWith(".pem")
      ? Buffer.from(String(privateKey.export({ type: "pkcs8", format: "pem" })))
      : Buffer.from("x.test sel key.pem\n"),
};

/** Text of the message as it is queued, with what else is known of it. */
async function receive(
  settings: Readonly<Record<string, string>> = {},
  content = "From: a@x.test\r\nSubject: s\r\n\r\nbody\r\n",
) {
  const params = parametersOf({
    ...{ myhostname: "mail.example.org", milter_macro_daemon_name: "ORIGINATING", milter_macro_v: "V" },
    non_smtpd_milters: `inet:127.0.0.1:${milter.port}, inet:127.0.0.1:${second.port}`,
    ...settings,
  });
  const tables = createTableOpener({ files, log, configDirectory: "/" });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const store = memoryStore();
  const cleanup = createCleanup({
    ...{ params, store, log },
    signer: createSigner(params, { files, clock: systemClock, log }),
    mapping: {
      mappings: createMappings(params, { tables, resolver }),
      rewrite: (address) => resolver.rewrite(address),
    },
    milterChecks: createMilterChecks(params, tables),
    otherMilters: createOtherMilters(params, { deadlines: new Deadlines(systemClock) }),
    laneOf: async () => "smtp:x.test",
    ...{ arrived: () => undefined, poke: () => undefined, dueAt: () => undefined },
  });
  const queueId = formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 });
  const message = cleanup.begin({
    envelope: {
      ...{ queueId, sender: asAddress("a@x.test"), arrivalMs: 1_795_500_000_123, smtputf8: false, body: "7BIT" },
      origin: {
        ...{
          clientName: "localhost",
          clientAddress: "127.0.0.1",
          helo: undefined,
          protocol: "ESMTP",
          service: "pickup",
        },
        uid: 1000,
      },
    },
    recipients: ["b@x.test", "list@x.test"].map((one) => ({ address: asAddress(one), original: asAddress(one) })),
    ...{ tls: undefined, prepend: [], role: "submission" },
  });
  await message.write(Buffer.from(content, "latin1"));
  const result = await message.finish({ hold: false, discard: false });
  const [stored] = store.appended;
  const bytes = stored?.body.kind === "inline" ? stored.body.bytes : Buffer.alloc(0);
  const text = stored ? Buffer.concat([stored.header, bytes]).toString("latin1") : "";
  return { result, stored, text, recipients: stored?.recipients.map(({ address }) => address) };
}

const at = (letter: string, ...said: readonly Said[]) => {
  answer = (command) => (command === letter ? said : undefined);
};

test("non_smtpd_milters are told of a session by ESMTP from localhost, in Postfix's macros and forms", async () => {
  at("-");
  const { result } = await receive({ canonical_maps: "inline:{ {b@x.test=bob@x.test} }" });
  assert.equal(result.kind, "queued");
  const id = formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 });
  assert.deepEqual(milter.events.slice(0, 16), [
    "D C j=mail.example.org {daemon_name}=ORIGINATING {daemon_addr}=127.0.0.1 v=V _=localhost [127.0.0.1]",
    "C localhost 4 127.0.0.1",
    "D H",
    "H localhost",
    `D M i=${id} {mail_addr}=a@x.test`,
    "M a@x.test",
    `D R i=${id} {rcpt_addr}=bob@x.test`,
    "R bob@x.test",
    `D R i=${id} {rcpt_addr}=list@x.test`,
    "R list@x.test",
    `D T i=${id}`,
    "T",
    `D L i=${id}`,
    "L From a@x.test",
    `D L i=${id}`,
    "L Subject s",
  ]);
  assert.ok(second.events.includes("B body"));
});

const REFUSALS = [
  { letter: "C", stage: "CONNECT", tail: "" },
  { letter: "H", stage: "EHLO", tail: "" },
  { letter: "M", stage: "MAIL", tail: "" },
  { letter: "T", stage: "DATA", tail: " to=<list@x.test>" },
  { letter: "L", stage: "END-OF-MESSAGE", tail: " to=<list@x.test>" },
  { letter: "E", stage: "END-OF-MESSAGE", tail: " to=<list@x.test>" },
] as const;

for (const { letter, stage, tail } of REFUSALS) {
  test(`a refusal at ${letter} refuses the message, and the log says where`, async () => {
    at(letter, "y550 5.7.9 not\0");
    const { result, stored } = await receive();
    assert.equal(result.kind === "refused" && result.reply.dsn, "5.7.9");
    assert.equal(stored, undefined);
    assert.ok(
      lines.some((line) =>
        line.endsWith(`: milter-reject: ${stage} from localhost[127.0.0.1]: 5.7.9 not; from=<a@x.test>${tail}`),
      ),
      lines.join("\n"),
    );
    assert.ok(!second.events.includes("E"));
  });
}

test("one recipient cannot be refused: the message is deferred, in Postfix's words", async () => {
  answer = (command, data) => (command === "R" && data.includes("list") ? "r" : undefined);
  const { result } = await receive();
  assert.deepEqual(result.kind === "refused" && [result.reply.code, result.reply.dsn], [451, "4.3.5"]);
  assert.deepEqual(
    lines.slice(-3).map((line) => line.replace(/^\w+: /, "")),
    [
      "milter-reject: RCPT from localhost[127.0.0.1]: 5.7.1 Command rejected; from=<a@x.test> to=<list@x.test>",
      "milter configuration error: can't reject recipient in non-smtpd(8) submission",
      "message not accepted, try again later",
    ],
  );
});

test("discard and quarantine", async () => {
  at("M", "d");
  const discarded = await receive();
  assert.deepEqual([discarded.result.kind, discarded.stored], ["queued", undefined]);
  at("E", "qwhy\0", "c");
  const held = await receive();
  assert.equal(held.stored?.hold, true);
  assert.ok(
    lines.some((line) =>
      /: milter-hold: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: milter triggers HOLD/.test(line),
    ),
    lines.join("\n"),
  );
});

const RECIPIENTS: readonly { said: readonly string[]; want: readonly string[]; warning?: RegExp; why: string }[] = [
  { said: ["-<b@x.test>\0"], want: ["c@x.test", "d@x.test"], why: "one less" },
  { said: ["-<list@x.test>\0"], want: ["b@x.test"], why: "all that an alias has led to go with it" },
  { said: ["-<c@x.test>\0"], want: ["b@x.test", "c@x.test", "d@x.test"], why: "not by what an alias leads to" },
  { said: ["-<B@x.test>\0"], want: ["b@x.test", "c@x.test", "d@x.test"], why: "to the letter" },
  { said: ["+<e>\0"], want: ["b@x.test", "c@x.test", "d@x.test", "e@mail.example.org"], why: "completed" },
  { said: ["+<other@x.test>\0"], want: ["b@x.test", "c@x.test", "d@x.test", "f@x.test"], why: "through the aliases" },
  { said: ["+<c@x.test>\0"], want: ["b@x.test", "c@x.test", "d@x.test"], why: "nobody gets it twice" },
  { said: ["-<b@x.test>\0", "+<b@x.test>\0"], want: ["c@x.test", "d@x.test", "b@x.test"], why: "away and back" },
  { said: ["+<b2@x.test>\0", "-<b2@x.test>\0"], want: ["b@x.test", "c@x.test", "d@x.test"], why: "there and away" },
  {
    ...{ said: ["+<>\0"], want: ["b@x.test", "c@x.test", "d@x.test"], why: "nobody" },
    warning: /: ignoring attempt from Milter to add null recipient$/,
  },
  {
    ...{
      said: ["2<c@x.test>\0NOTIFY=NEVER\0"],
      want: ["b@x.test", "c@x.test", "d@x.test"],
      why: "parameters are ignored",
    },
    warning: /: cleanup_add_rcpt: ignoring ESMTP arguments "NOTIFY=NEVER"$/,
  },
];

for (const { said, want, warning, why } of RECIPIENTS) {
  test(`recipients that a Milter changes: ${why}`, async () => {
    at("E", ...said, "c");
    const aliases = "inline:{ {list@x.test=c@x.test} {other@x.test=f@x.test} }".replace(
      "c@x.test}",
      "c@x.test, d@x.test}",
    );
    const settings = { virtual_alias_maps: aliases, virtual_alias_domains: "x.test", myorigin: "$myhostname" };
    const { recipients } = await receive(settings);
    assert.deepEqual(recipients, want);
    if (warning)
      assert.ok(
        lines.some((line) => warning.test(line)),
        lines.join("\n"),
      );
  });
}

test("a Milter that removes all recipients: the message is taken, for nobody, and the log says so", async () => {
  at("E", "-<b@x.test>\0", "-<list@x.test>\0", "c");
  const { result, stored } = await receive();
  assert.deepEqual([result, stored, aborted], [{ kind: "queued" }, undefined, 1]);
  assert.match(lines.at(-1) ?? "", /^\w+: removed \(discarded\)$/);
});

test("a recipient that a Milter adds and that cannot be mapped: the message is refused for now, and its content given up", async () => {
  at("E", "+<many@x.test>\0", "c");
  const settings = {
    virtual_alias_maps: "inline:{ {many@x.test=c@x.test, d@x.test} }",
    virtual_alias_domains: "y.test",
    virtual_alias_expansion_limit: "1",
  };
  const { result, stored } = await receive(settings);
  assert.deepEqual(result.kind === "refused" && result.reply.code, 451);
  assert.deepEqual([stored, aborted], [undefined, 1]);
});

test("another sender is mapped as any other", async () => {
  at("E", "e<c@x.test>\0SIZE=1 X=2\0", "c");
  const { stored } = await receive({ sender_canonical_maps: "inline:{ {c@x.test=d@x.test} }" });
  assert.equal(stored?.envelope.sender, "d@x.test");
  assert.ok(lines.some((line) => line.endsWith(': cleanup_chg_from: ignoring ESMTP arguments "X=2"')));
});

const CHECKS: readonly {
  readonly action: string;
  readonly log: RegExp;
  readonly kind?: "refused";
  readonly text?: RegExp;
  readonly why: string;
  readonly filter?: string;
  readonly hold?: true;
  readonly recipients?: readonly string[];
}[] = [
  {
    action: "REJECT 5.7.8 spam",
    log: /: milter-header-reject: header X-Flag: yes from localhost\[127\.0\.0\.1\]; from=<a@x\.test> to=<list@x\.test>: 5\.7\.8 spam$/,
    kind: "refused",
    why: "the message is refused",
  },
  { action: "DISCARD", log: /: milter-header-discard: header X-Flag: yes from /, why: "the message is dropped" },
  {
    action: "HOLD look",
    log: /: milter-header-hold: header X-Flag: yes from .*: look$/,
    hold: true,
    text: /\r\nX-Flag: yes\r\n/,
    why: "held",
  },
  {
    action: "FILTER smtp:[127.0.0.1]:1",
    log: /: milter-header-filter: /,
    filter: "smtp:[127.0.0.1]:1",
    text: /X-Flag/,
    why: "to a filter",
  },
  {
    action: "REDIRECT z@x.test",
    log: /: milter-header-redirect: /,
    recipients: ["z@x.test"],
    text: /X-Flag/,
    why: "to another recipient",
  },
  { action: "IGNORE", log: /./, text: /\r\nX-Other: 1\r\n\r\nbody/, why: "the field is left out" },
  {
    action: "STRIP why",
    log: /: milter-header-strip: header X-Flag: yes from .*: why$/,
    text: /\r\nX-Other: 1\r\n\r\nbody/,
    why: "and logged",
  },
  {
    action: "REPLACE X-Spam: 1",
    log: /: milter-header-replace: /,
    text: /\r\nX-Spam: 1\r\nX-Other: 1\r\n/,
    why: "another field",
  },
  {
    action: "PREPEND X-Before: 1",
    log: /^the milter_header\/body_checks prepend action is not implemented$/,
    text: /\r\nX-Flag: yes\r\nX-Other: 1\r\n\r\n/,
    why: "nothing in front, as in Postfix",
  },
  {
    action: "WARN look",
    log: /: milter-header-warning: header X-Flag: yes from .*: look$/,
    text: /X-Flag/,
    why: "only logged",
  },
  { action: "INFO look", log: /: milter-header-info: /, text: /X-Flag/, why: "only told" },
  {
    action: "BCC z@x.test",
    log: /^unsupported command in milter_header_checks map: BCC z@x\.test$/,
    text: /X-Flag/,
    why: "not there in Postfix",
  },
];

for (const { action, log: line, kind = "queued", text, filter, hold = false, recipients, why } of CHECKS) {
  test(`milter_header_checks: ${action}: ${why}`, async () => {
    at("E", "hX-Flag\0yes\0", "hX-Other\x001\0", "c");
    const map = `pcre:{ {/^x-flag: yes$$/ ${action}} }`;
    const out = await receive({ milter_header_checks: map });
    assert.equal(out.result.kind, kind);
    assert.ok(
      lines.some((one) => line.test(one)),
      lines.join("\n"),
    );
    if (text === undefined) assert.equal(out.stored, undefined);
    else assert.match(out.text, text);
    assert.equal(out.stored?.envelope.filter, filter);
    assert.equal(out.stored?.hold ?? false, hold);
    if (recipients) assert.deepEqual(out.recipients, recipients);
  });
}

test("milter_header_checks does not see fields of the message itself; a table that fails defers", async () => {
  at("E", "c");
  const settings = { milter_header_checks: "fail:down" };
  assert.equal((await receive(settings)).result.kind, "queued");
  at("E", numbered("m", 1, "Subject", "new"), "c");
  const { result } = await receive(settings);
  assert.equal(result.kind === "refused" && result.reply.code, 451);
  assert.ok(
    lines.some((one) => /: milter_header_checks map lookup problem/.test(one)),
    lines.join("\n"),
  );
});

test("a new body has CRLF lines, the old one is given up, and a signature is of what is sent", async () => {
  at("E", "bone\ntw", "bo\r", "b\nthree", numbered("m", 1, "Subject", "new"), "c");
  const { text } = await receive({ postern_dkim_signing_file: "/keys" });
  assert.match(text, /\r\n\r\none\r\ntwo\r\nthree\r\n$/);
  assert.equal(aborted, 1);
  const { results } = await dkimVerify(Buffer.from(text, "latin1"), { resolver: async () => [[RECORD]] });
  assert.deepEqual(
    results.map(({ status }) => status.result),
    ["pass"],
  );
});

test("a new body may be no longer than messages may", async () => {
  at("E", `b${"x".repeat(600)}`, `b${"x".repeat(600)}`, "c");
  const { result, stored } = await receive({ message_size_limit: "1000" });
  assert.deepEqual(result.kind === "refused" && [result.reply.code, result.reply.dsn], [552, "5.3.4"]);
  assert.equal(stored, undefined);
  assert.ok(lines.some((one) => one.endsWith(": queue file size limit exceeded")));
  assert.equal(aborted, 2);
});

test("a new body of which only a part came counts for nothing, and is given up", async () => {
  at("E", "bhalf", "");
  const settings = { non_smtpd_milters: `{ inet:127.0.0.1:${milter.port}, default_action=accept }` };
  const { text } = await receive({ ...settings, postern_dkim_signing_file: "/keys" });
  assert.match(text, /\r\n\r\nbody\r\n$/);
  assert.equal(aborted, 1);
  const { results } = await dkimVerify(Buffer.from(text, "latin1"), { resolver: async () => [[RECORD]] });
  assert.deepEqual(
    results.map(({ status }) => status.result),
    ["pass"],
  );
});
