import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import { replyText } from "../mail/reply.ts";
import { type NewMessage, QueueError, type StoredBody } from "../queue/store.ts";
import { createResolver } from "../rewrite/create.ts";
import { createMappings } from "../rewrite/mappings.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import type { MessageOptions } from "./cleanup.ts";
import { createCleanup } from "./create.ts";

/** The disk edge: keeps what was appended, or fails as told. */
function memoryStore(fail?: QueueError) {
  const appended: NewMessage[] = [];
  const store = {
    appended,
    beginBody: () => {
      const parts: Uint8Array[] = [];
      return {
        sizeBytes: 0,
        write: (chunk: Uint8Array) => void parts.push(chunk),
        finish: async (): Promise<StoredBody> => ({ kind: "inline", bytes: Buffer.concat(parts) }),
        abort: async () => undefined,
      };
    },
    readBody: (body: StoredBody) => (body.kind === "inline" ? [body.bytes] : []),
    claims: [] as boolean[],
    append: async (message: NewMessage, { claim }: { readonly claim: boolean } = { claim: true }) => {
      if (fail) throw fail;
      appended.push(message);
      store.claims.push(claim);
      return undefined;
    },
  };
  return store;
}

const alice = asAddress("alice@example.org");

function options(change: Partial<MessageOptions> = {}): MessageOptions {
  const queueId = formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 });
  const origin = {
    clientName: "unknown",
    clientAddress: "192.0.2.7",
    helo: "laptop",
    protocol: "ESMTP",
    service: "submission",
  };
  return {
    envelope: { queueId, sender: alice, arrivalMs: 1_795_500_000_123, smtputf8: false, body: "7BIT", origin },
    recipients: [{ address: asAddress("b@x.test"), original: asAddress("b@x.test") }],
    tls: undefined,
    prepend: [],
    role: "submission",
    ...change,
  };
}

async function receive(
  content: string,
  setup: { settings?: Record<string, string>; options?: MessageOptions; fail?: QueueError; step?: number } = {},
) {
  const store = memoryStore(setup.fail);
  const dueAt: number[] = [];
  const cleanup = createCleanup({
    params: parametersOf({ myhostname: "mail.example.org", ...setup.settings }),
    store,
    log: new Log({ sink: () => undefined, now: () => 0, tag: "postfix/cleanup", id: 1 }),
    laneOf: async () => "smtp:x.test",
    arrived: () => undefined,
    poke: () => undefined,
    dueAt: (dueMs) => dueAt.push(dueMs),
  });
  const message = cleanup.begin(setup.options ?? options());
  const bytes = Buffer.from(content, "latin1");
  const step = setup.step ?? bytes.length;
  for (let at = 0; at < bytes.length; at += step) await message.write(bytes.subarray(at, at + step));
  const result = await message.finish({ hold: false, discard: false });
  const stored = store.appended[0];
  const text = stored
    ? Buffer.concat([stored.header, stored.body.kind === "inline" ? stored.body.bytes : Buffer.alloc(0)]).toString(
        "latin1",
      )
    : "";
  return { result, text, store, dueAt };
}

function asked(wishes: Partial<MessageOptions["envelope"]>): MessageOptions {
  const { envelope, ...rest } = options();
  return { ...rest, envelope: { ...envelope, ...wishes } };
}

test("FR-02, FR-07: a message that is held is due later and not claimed; its header tells when it came", async () => {
  const plain = await receive("Subject: hi\r\n\r\nb");
  const futureRelease = { untilMs: 1_795_500_060_123, request: "for;60" };
  const { text, store, dueAt } = await receive("Subject: hi\r\n\r\nb", { options: asked({ futureRelease }) });
  assert.equal(text, plain.text);
  assert.deepEqual(
    [store.appended[0]?.recipients[0]?.dueMs, store.claims, dueAt],
    [1_795_500_060_123, [false], [1_795_500_060_123]],
  );
});

test("FR-02: a time that has passed holds nothing", async () => {
  const futureRelease = { untilMs: 1_795_500_000_000, request: "until;2026-11-24T00:00:00Z" };
  const { store } = await receive("Subject: hi\r\n\r\nb", { options: asked({ futureRelease }) });
  assert.deepEqual([store.appended[0]?.recipients[0]?.dueMs, store.claims], [1_795_500_000_123, [true]]);
});

test("PRI-03, PRI-04: a priority that came in the header is in Received and goes on with the message; the field is gone", async () => {
  const tunnel = { given: false, grant: async (n: number) => Math.min(n, 4) };
  for (const step of [1, 1000]) {
    const { text, store } = await receive("Subject: hi\r\nMT-Priority: 7\r\n\r\nb", {
      options: { ...options(), tunnel },
      step,
    });
    assert.match(text, /\r\n\tfor <b@x\.test> PRIORITY 4; /);
    assert.doesNotMatch(text, /MT-Priority/);
    assert.equal(store.appended[0]?.envelope.priority, 4);
  }
});

test("PRI-02: what a client may use cannot be looked up: 451, and nothing is queued", async () => {
  const tunnel = { given: false, grant: async () => undefined };
  const { result, store } = await receive("MT-Priority: 7\r\n\r\nb", { options: { ...options(), tunnel } });
  assert.deepEqual([result.kind === "refused" && result.reply.code, store.appended.length], [451, 0]);
});

test("PRI-04: without a tunnel MT-Priority is a field as any other", async () => {
  const { text, store } = await receive("Subject: hi\r\nMT-Priority: 7\r\n\r\nb");
  assert.match(text, /\r\nMT-Priority: 7\r\n/);
  assert.equal(store.appended[0]?.envelope.priority, undefined);
});

test("PRI-03: Received has a PRIORITY clause behind all others", async () => {
  const one = await receive("Subject: hi\r\n\r\nb", { options: asked({ priority: -3 }) });
  assert.match(one.text, /\r\n\tfor <b@x\.test> PRIORITY -3; \w+, /);
  const recipients = ["b@x.test", "c@x.test"].map((a) => ({ address: asAddress(a), original: asAddress(a) }));
  const two = await receive("Subject: hi\r\n\r\nb", { options: { ...asked({ priority: 0 }), recipients } });
  assert.match(two.text, / with ESMTP id [0-9A-F]+ PRIORITY 0;\r\n\t\w+, /);
});

test("a submitted message gets Received, Message-Id, Date and From; Bcc goes (MOD-05, MOD-06, MOD-15, SUB-02, TRC-02)", async () => {
  const { text } = await receive("Subject: hi\r\nBcc: secret@x.test\r\n\r\nbody\r\n");
  const [header = "", body] = text.split("\r\n\r\n");
  assert.match(
    header,
    /^Received: from laptop \(unknown \[192\.0\.2\.7\]\)\r\n\tby mail\.example\.org \(Postern\) with ESMTP id [0-9A-F]+\r\n\tfor <b@x\.test>; \w+, \d\d \w+ \d{4} /,
  );
  assert.match(
    header,
    /\r\nSubject: hi\r\nMessage-Id: <\d{14}\.[0-9A-F]+@mail\.example\.org>\r\nDate: .*\r\nFrom: alice@example\.org$/,
  );
  assert.doesNotMatch(header, /secret/);
  assert.equal(body, "body\r\n");
});

test("mail that passes through gets Received only, and is taken without them (MOD-14, SUB-02, DAT-14)", async () => {
  const { text } = await receive("Subject: hi\r\n\r\nb", { options: options({ role: "mx" }) });
  assert.deepEqual(text.match(/^[A-Z][\w-]*(?=:)/gm), ["Received", "Subject"]);
});

test("any chunking gives the same message", async () => {
  const content =
    "Subject: a\r\n b\xff\r\nFrom: x@y.test\r\nDate: d\r\nMessage-Id: <m>\r\n\r\nline\r\n\r\n.\r\n\x00end\r\n";
  const whole = (await receive(content)).text;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: content.length }), async (step) => {
      assert.equal((await receive(content, { step })).text, whole);
    }),
  );
});

const refusals = [
  {
    content: "Received: x\r\n".repeat(51),
    settings: {},
    want: "554 5.4.0 Error: too many hops",
    why: "mail loop (TRC-08, LIM-14)",
  },
  {
    content: `A: b\r\n\r\n${"x".repeat(3000)}`,
    settings: { message_size_limit: "2000" },
    want: "552 5.3.4 Error: message file too big",
    why: "size counted, not believed (DAT-12)",
  },
  {
    content: `A: ${"x".repeat(70_000)}`,
    settings: { postern_header_block_limit: "65536" },
    want: "552 5.3.4 Error: message header too big",
    why: "header memory is bounded (LIM-12)",
  },
];
for (const c of refusals) {
  test(`a message is refused: ${c.why}`, async () => {
    const { result, text } = await receive(c.content, { settings: c.settings, step: 1000 });
    assert.equal(result.kind === "refused" && replyText(result.reply), c.want);
    assert.equal(text, "");
  });
}

const faults = [
  { fail: new QueueError("disk full", { full: true }), want: "452 4.3.1 Insufficient system storage" },
  { fail: new QueueError("I/O error", {}), want: "451 4.3.0 Error: queue file write error" },
];
for (const c of faults) {
  test(`a store that fails is never a 250: ${c.fail.message}`, async () => {
    const { result } = await receive("A: b\r\n\r\nc", { fail: c.fail });
    assert.equal(result.kind === "refused" && replyText(result.reply), c.want);
  });
}

test("PREPEND stands above Received in order; a field that it brings is not added again", async () => {
  const prepend = ["X-One: 1", "Message-ID: <own@x.test>"];
  const { text } = await receive("Subject: hi\r\n\r\nbody\r\n", { options: options({ prepend }) });
  assert.match(text, /^X-One: 1\r\nMessage-ID: <own@x\.test>\r\nReceived: /);
  assert.equal(text.match(/^message-id:/gim)?.length, 1);
});

test("our own lines are UTF-8, the client's bytes stay", async () => {
  const { text } = await receive("X: \xff\r\n\r\nb", {
    options: options({ prepend: ["X-One: \u00e9"] }),
    settings: { postern_submission_checks: "eight_bit_header:off" },
  });
  assert.match(text, /^X-One: \xc3\xa9\r\nReceived: [\s\S]*\r\nX: \xff\r\n/);
});

test("smtpd_hide_client_session leaves the session out of Received (TRC-02, TRC-03)", async () => {
  const settings = { smtpd_hide_client_session: "yes" };
  const one = await receive("Subject: hi\r\n\r\n", { settings });
  assert.match(
    one.text,
    /^Received: by mail\.example\.org \(Postern\) id [0-9A-F]+\r\n\tfor <b@x\.test>; .*\r\nSubject/,
  );
  const recipients = ["b@x.test", "c@x.test"].map((text) => ({ address: asAddress(text), original: asAddress(text) }));
  const two = await receive("Subject: hi\r\n\r\n", { settings, options: options({ recipients }) });
  assert.match(two.text, /^Received: by mail\.example\.org \(Postern\) id [0-9A-F]+;\r\n\t\w+, .*\r\nSubject/);
});

test("Received names the recipient that the client named, not who was added (TRC-03)", async () => {
  const [b, c] = ["b@x.test", "c@x.test"].map((text) => ({ address: asAddress(text), original: asAddress(text) }));
  assert.ok(b && c);
  const one = await receive("\r\n", { options: options({ recipients: [b, c], accepted: [b] }) });
  assert.match(one.text, /\tfor <b@x\.test>;/);
  const two = await receive("\r\n", { options: options({ recipients: [c], accepted: [b, c] }) });
  assert.ok(!two.text.includes("for <"), two.text);
});

for (const [filter, settings, want, why] of [
  [undefined, {}, undefined, "neither"],
  ["scan:[h]:1", {}, "scan:[h]:1", "FILTER"],
  [undefined, { content_filter: "smtp:h" }, "smtp:h", "content_filter"],
  ["scan:", { content_filter: "smtp:h" }, "scan:", "FILTER overrides content_filter"],
] as const) {
  test(`the envelope carries the filter: ${why}`, async () => {
    const asked: (string | undefined)[] = [];
    const store = memoryStore();
    const cleanup = createCleanup({
      params: parametersOf(settings),
      store,
      log: new Log({ sink: () => undefined, now: () => 0, tag: "postfix/cleanup", id: 1 }),
      laneOf: async (_recipient, _sender, given) => {
        asked.push(given);
        return "x:";
      },
      arrived: () => undefined,
      poke: () => undefined,
      dueAt: () => undefined,
    });
    const { envelope } = options();
    const message = cleanup.begin(options({ envelope: { ...envelope, ...(filter !== undefined && { filter }) } }));
    await message.finish({ hold: false, discard: false });
    assert.deepEqual([store.appended[0]?.envelope.filter, ...asked], [want, want]);
  });
}

for (const [settings, want, line] of [
  [
    { virtual_alias_maps: "fail:down" },
    "451 4.3.0 Error: queue file write error",
    "virtual_alias_maps map lookup problem for b@x.test -- message not accepted, try again later",
  ],
  [
    { virtual_alias_maps: "inline:{ {b@x.test = c@x.test}, {c@x.test = b@x.test} }" },
    "451 4.6.0 Alias expansion error",
    "unreasonable virtual_alias_maps map nesting for b@x.test -- message not accepted, try again later",
  ],
] as const) {
  test(`an address that cannot be mapped is refused before anything is queued: ${want}`, async () => {
    const lines: string[] = [];
    const store = memoryStore();
    const log = new Log({ sink: (entry) => void lines.push(String(entry.text)), now: () => 0, tag: "t", id: 1 });
    const params = parametersOf(settings);
    const files = {
      read: (path: string): Uint8Array => {
        throw new TableError(path);
      },
    };
    const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
    const resolver = createResolver(params, { tables, ownAddresses: [] });
    const cleanup = createCleanup({
      params,
      store,
      log,
      mapping: { mappings: createMappings(params, { tables, resolver }), rewrite: resolver.rewrite },
      laneOf: async () => "x:",
      arrived: () => undefined,
      poke: () => undefined,
      dueAt: () => undefined,
    });
    const given = options();
    const result = await cleanup.begin(given).finish({ hold: false, discard: false });
    assert.equal(result.kind === "refused" && replyText(result.reply), want);
    assert.ok(
      lines.some((text) => text.endsWith(`${given.envelope.queueId}: ${line}`)),
      lines.join("\n"),
    );
    assert.equal(store.appended.length, 0);
  });
}

test("8BIT-03: content with 8-bit octets that was not declared is queued as 8BITMIME, however it arrives", async () => {
  const bodies = async (content: string, wishes: Partial<MessageOptions["envelope"]> = {}) => {
    const whole = await receive(content, { options: asked(wishes) });
    const single = await receive(content, { options: asked(wishes), step: 1 });
    assert.equal(single.store.appended[0]?.envelope.body, whole.store.appended[0]?.envelope.body);
    return whole.store.appended[0]?.envelope.body;
  };
  assert.equal(await bodies("Subject: x\r\n\r\nplain\r\n"), "7BIT");
  assert.equal(await bodies("Subject: x\r\n\r\nplain\r\nn\xc3\xa9e\r\nplain\r\n"), "8BITMIME");
  assert.equal(await bodies("Subject: n\xc3\xa9e\r\n\r\nplain\r\n"), "7BIT", "the header is not what 8BITMIME is for");
  assert.equal(await bodies("Subject: x\r\n\r\nn\xc3\xa9e\r\n", { body: "BINARYMIME" }), "BINARYMIME");
});

test("REQ-05: TLS-Required: No is kept with the message, and the field stays", async () => {
  const { text, store } = await receive("TLS-Required: No\r\nSubject: x\r\n\r\nb\r\n");
  assert.equal(store.appended[0]?.envelope.tlsOptional, true);
  assert.match(text, /^TLS-Required: No\r$/m);
});
