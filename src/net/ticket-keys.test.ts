/** net/ticket-keys.test.ts: when keys change, that all processes have the same, and that a real handshake minds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import tls from "node:tls";
import { makeSelfSigned } from "./self-signed.ts";
import { TICKET_KEY_LIFE_MS, TicketKeys } from "./ticket-keys.ts";

function clockAt(at: number) {
  const clock = { at, now: () => clock.at };
  return clock;
}

test("keys last their time, then others come, and the old ones never again (TLS-25)", () => {
  const clock = clockAt(TICKET_KEY_LIFE_MS * 1000);
  const keys = TicketKeys.fresh(clock);
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const now = keys.current();
    assert.equal(now.length, 48);
    clock.at += TICKET_KEY_LIFE_MS - 1;
    assert.equal(keys.current(), now, "the same object until they change");
    clock.at += 1;
    seen.add(keys.current().toString("hex"));
  }
  assert.equal(seen.size, 50);
});

test("processes with one seed have the same keys, whenever each was asked", () => {
  const clock = clockAt(0);
  const master = TicketKeys.fresh(clock);
  const first = new TicketKeys(master.seed(), clock);
  clock.at = 7 * TICKET_KEY_LIFE_MS;
  const late = new TicketKeys(master.seed(), clock);
  assert.deepEqual(first.current(), late.current());
  assert.deepEqual(first.current(), master.current());
  assert.notDeepEqual(TicketKeys.fresh(clock).current(), master.current());
});

test("a clock that steps back, or far ahead, does no harm", () => {
  const clock = clockAt(TICKET_KEY_LIFE_MS * 10);
  const keys = TicketKeys.fresh(clock);
  const now = keys.current();
  clock.at = 0;
  assert.equal(keys.current(), now);
  clock.at = Number.MAX_SAFE_INTEGER;
  assert.notDeepEqual(keys.current(), now);
});

test("a ticket is good for the keys it was made with only (TLS-25)", async () => {
  const clock = clockAt(0);
  const keys = TicketKeys.fresh(clock);
  const made = makeSelfSigned(["mail.example.org"], Date.now());
  const reused = async (session: Buffer | undefined) => {
    const server = tls.createServer({ key: made.keyPem, cert: made.certificatePem, ticketKeys: keys.current() });
    server.on("secureConnection", (socket) => socket.end("."));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const client = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...(session && { session }) });
    let ticket: Buffer | undefined;
    client.on("session", (given: Buffer) => {
      ticket = given;
    });
    let again: boolean | undefined;
    client.once("secureConnect", () => {
      again = client.isSessionReused();
    });
    client.resume();
    await new Promise((resolve) => client.once("close", resolve));
    const result = { reused: again, ticket };
    await new Promise((resolve) => server.close(resolve));
    return result;
  };
  const first = await reused(undefined);
  assert.equal((await reused(first.ticket)).reused, true);
  clock.at += TICKET_KEY_LIFE_MS;
  assert.equal((await reused(first.ticket)).reused, false);
});
