/** What travels to the store thread and back arrives as it was, bytes as copies. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import type { MessageRow } from "./delivery-rows.ts";
import type { Reply, Request } from "./engine.ts";
import { bytesOf, packReplies, packRequests, unpackReplies, unpackRequests } from "./port-format.ts";

const address = fc.string({ maxLength: 20 }).map(asAddress);
const bytes = fc.uint8Array({ maxLength: 50 });
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const dsn = record({ notify: optional(fc.constant({ never: true } as const)), orcpt: optional(fc.string()) }) as never;
const recipients = fc.array(
  record({
    address,
    original: address,
    dsn: optional<never>(dsn),
    lane: fc.string({ maxLength: 20 }),
    dueMs: fc.nat(),
  }),
  { maxLength: 3 },
);
const head = { key: fc.bigInt({ min: 0n, max: 2n ** 62n }), queueId: fc.string(), envelope: fc.string() };
const message: fc.Arbitrary<MessageRow> = record({
  ...head,
  sizeBytes: fc.nat(),
  header: bytes,
  body: optional(bytes),
  file: optional(fc.string()),
  hold: fc.boolean(),
  release: optional(record({ untilMs: fc.nat(), owner: fc.string() })),
  recipients,
});
const settlement = record({
  key: head.key,
  done: fc.array(fc.nat()),
  deferred: fc.array(record({ id: fc.nat(), dueMs: fc.nat(), reason: fc.string() })),
  warned: fc.array(fc.nat()),
  append: fc.array(message, { maxLength: 2 }),
  forwards: fc.array(record({ ...head, head: bytes, recipients }), { maxLength: 2 }),
});
const op = fc.oneof(
  record({ kind: fc.constant("append" as const), claim: fc.boolean(), message }),
  record({ kind: fc.constant("settle" as const), filesFrom: optional(fc.string()), settlement }),
  record({ kind: fc.constant("lanes" as const), limit: fc.nat() }),
);
const requests: fc.Arbitrary<Request[]> = fc.array(record({ id: fc.nat(), shard: fc.nat(9), op }), { maxLength: 5 });

test("requests arrive as they were", () => {
  const holds = (given: readonly Request[]) => {
    const sizeBytes = given.reduce((sum, request) => sum + bytesOf(request.op), 0);
    const packed = packRequests(given, sizeBytes);
    const travelled = structuredClone(packed, { transfer: [packed.bytes] });
    assert.deepEqual(unpackRequests(travelled), given);
  };
  fc.assert(fc.property(requests, holds));
});

test("the bytes are copies: what the caller does with his buffer afterwards is not seen", () => {
  const header = Buffer.from("A: b\r\n");
  const row = {
    key: 1n,
    queueId: "1",
    envelope: "{}",
    sizeBytes: 6,
    header,
    body: undefined,
    file: undefined,
  } as const;
  const append = { kind: "append", claim: false, message: { ...row, hold: false, recipients: [] } } as const;
  const packed = packRequests([{ id: 1, shard: 0, op: append }], bytesOf(append));
  header.fill(0);
  const [{ op: arrived } = { op: undefined }] = unpackRequests(packed);
  assert.equal(arrived?.kind === "append" && Buffer.from(arrived.message.header).toString(), "A: b\r\n");
});

test("replies arrive as they were, those that refuse last", () => {
  const answered: Reply[] = [
    { id: 1, answer: undefined },
    { id: 3, answer: { removed: true, appended: true, forwardedBytes: [7] } },
  ];
  const refused: Reply = { id: 2, error: "disk full", full: true, undecided: false };
  const packed = structuredClone(packReplies([answered[0] as Reply, refused, answered[1] as Reply]));
  assert.deepEqual(unpackReplies(packed), [...answered, refused]);
});
