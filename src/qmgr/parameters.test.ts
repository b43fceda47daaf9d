/** Each parameter of the scheduler: a setting, what happens, what is seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";

const sent = (r: DeliveryRequest) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");
const down = (r: DeliveryRequest) => outcome(r, "deferred", "4.4.1", "connect to mx.test: Connection refused");

/** Deliveries that end when the test says so. */
class Deliveries {
  readonly #open: { readonly request: DeliveryRequest; readonly end: (outcomes: readonly RcptOutcome[]) => void }[] =
    [];
  readonly sizes: number[] = [];
  started = 0;

  readonly deliver = (request: DeliveryRequest): Promise<readonly RcptOutcome[]> => {
    this.started++;
    this.sizes.push(request.recipients.length);
    return new Promise((end) => this.#open.push({ request, end }));
  };

  get open(): number {
    return this.#open.length;
  }

  async end(count: number, how: (r: DeliveryRequest) => readonly RcptOutcome[]): Promise<void> {
    for (const { request, end } of this.#open.splice(0, count)) end(how(request));
    await settled();
  }
}

const ofMany = async (world: World, count: number) => {
  for (let i = 0; i < count; i++) await world.send([`u${i}@x.test`]);
  await settled();
};

const rows: readonly {
  settings: Readonly<Record<string, string>>;
  run: (world: World, deliveries: Deliveries) => Promise<unknown>;
  want: unknown;
  why: string;
}[] = [
  {
    settings: { qmgr_message_active_limit: "3", initial_destination_concurrency: "1" },
    run: async (w) => {
      for (let i = 0; i < 9; i++) await w.send([`a@x${i}.test`]);
      await settled();
      return [w.queue.status().activeMessages, w.store.claimed];
    },
    want: [3, 3],
    why: "the rest waits in the store",
  },
  {
    settings: { qmgr_message_recipient_limit: "8", initial_destination_concurrency: "1" },
    run: async (w) => {
      for (let i = 0; i < 9; i++) await w.send(["a", "b", "c"].map((user) => `${user}@x${i}.test`));
      await settled();
      return [w.queue.status().activeRecipients, w.store.claimed];
    },
    want: [9, 9],
    why: "the message that reaches it is taken whole, no further one",
  },
  {
    settings: { qmgr_message_recipient_limit: "8" },
    run: async (w) => {
      await w.send(
        Array.from({ length: 100 }, (_, i) => `u${i}@x.test`),
        { quiet: true },
      );
      w.queue.start();
      await settled();
      return w.queue.status().activeRecipients;
    },
    want: 8,
    why: "of a stored message no more than fit",
  },
  {
    settings: { initial_destination_concurrency: "2" },
    run: async (w, d) => ofMany(w, 9).then(() => d.open),
    want: 2,
    why: "at first",
  },
  {
    settings: { initial_destination_concurrency: "2", smtp_initial_destination_concurrency: "3" },
    run: async (w, d) => ofMany(w, 9).then(() => d.open),
    want: 3,
    why: "the transport's own",
  },
  {
    settings: { default_destination_concurrency_limit: "3" },
    run: async (w, d) => ofMany(w, 9).then(() => d.open),
    want: 3,
    why: "below the initial concurrency",
  },
  {
    settings: { default_destination_concurrency_limit: "7" },
    run: async (w, d) => {
      await ofMany(w, 60);
      for (let i = 0; i < 4; i++) await d.end(5, sent);
      return d.open;
    },
    want: 7,
    why: "it grows no further",
  },
  {
    settings: { default_destination_concurrency_positive_feedback: "0" },
    run: async (w, d) => {
      await ofMany(w, 60);
      for (let i = 0; i < 4; i++) await d.end(5, sent);
      return d.open;
    },
    want: 5,
    why: "successes add nothing",
  },
  {
    settings: { default_destination_concurrency_positive_feedback: "1/concurrency" },
    run: async (w, d) => {
      await ofMany(w, 60);
      await d.end(5, sent);
      return d.open;
    },
    want: 6,
    why: "one for a whole round",
  },
  {
    settings: {
      smtp_destination_concurrency_negative_feedback: "1",
      smtp_destination_concurrency_failed_cohort_limit: "9",
    },
    run: async (w, d) => {
      await ofMany(w, 60);
      await d.end(2, down);
      return d.open;
    },
    want: 3,
    why: "each failure takes one",
  },
  {
    settings: {
      smtp_destination_concurrency_negative_feedback: "0",
      smtp_destination_concurrency_failed_cohort_limit: "9",
    },
    run: async (w, d) => {
      await ofMany(w, 60);
      await d.end(2, down);
      return d.open;
    },
    want: 5,
    why: "failures take nothing",
  },
  {
    settings: { default_destination_concurrency_failed_cohort_limit: "3", initial_destination_concurrency: "1" },
    run: async (w, d) => {
      await ofMany(w, 60);
      for (let i = 0; i < 10; i++) await d.end(1, down);
      return d.started;
    },
    want: 3,
    why: "dead after three rounds of one",
  },
  {
    settings: { default_destination_concurrency_failed_cohort_limit: "0", initial_destination_concurrency: "1" },
    run: async (w, d) => {
      await ofMany(w, 60);
      for (let i = 0; i < 10; i++) await d.end(1, down);
      return d.started;
    },
    want: 11,
    why: "never dead",
  },
  {
    settings: { transport_retry_time: "100s", initial_destination_concurrency: "1" },
    run: async (w, d) => {
      await ofMany(w, 2);
      await d.end(1, down);
      await w.clock.advance(99_000);
      const during = w.queue.status().lanes[0]?.reason;
      await w.clock.advance(2000);
      return [during, w.queue.status().lanes.length];
    },
    want: ["connect to mx.test: Connection refused", 0],
    why: "left alone so long",
  },
  {
    settings: { transport_retry_time: "100s", smtp_transport_retry_time: "20s", initial_destination_concurrency: "1" },
    run: async (w, d) => {
      await ofMany(w, 2);
      await d.end(1, down);
      await w.clock.advance(21_000);
      return w.queue.status().lanes.length;
    },
    want: 0,
    why: "the transport's own",
  },
  {
    settings: { default_destination_recipient_limit: "4" },
    run: async (w, d) => {
      await w.send(Array.from({ length: 10 }, (_, i) => `u${i}@x.test`));
      await settled();
      return d.sizes;
    },
    want: [4, 4, 2],
    why: "recipients of one delivery",
  },
  {
    settings: { default_destination_rate_delay: "10s" },
    run: async (w, d) => {
      await ofMany(w, 5);
      const seen = [d.started];
      await d.end(1, sent);
      seen.push(d.started);
      await w.clock.advance(9_999);
      seen.push(d.started);
      await w.clock.advance(1);
      return [...seen, d.started];
    },
    want: [1, 1, 1, 2],
    why: "one at a time, so far apart",
  },
  {
    settings: { default_transport_rate_delay: "10s" },
    run: async (w, d) => {
      for (const site of ["x", "y", "z"]) await w.send([`u@${site}.test`]);
      await settled();
      const seen = [d.started];
      await w.clock.advance(20_000);
      seen.push(d.started);
      await d.end(1, sent);
      await w.clock.advance(9_999);
      seen.push(d.started);
      await w.clock.advance(1);
      return [...seen, d.started];
    },
    want: [1, 1, 1, 2],
    why: "one at a time over all destinations, the delay counted from its end",
  },
  {
    settings: { default_transport_rate_delay: "1h", smtp_transport_rate_delay: "0" },
    run: async (w, d) => {
      await w.send(["u@x.test"]);
      await w.send(["u@y.test"]);
      await settled();
      return d.started;
    },
    want: 2,
    why: "the transport's own",
  },
  {
    settings: { smtp_transport_rate_delay: "1h" },
    run: async (w, d) => {
      for (const site of ["x", "y", "z"]) await w.send([`u@${site}.test`]);
      await settled();
      await d.end(1, sent);
      w.settings = {};
      w.queue.reconfigure();
      await settled();
      return d.started;
    },
    want: 3,
    why: "a reload without it lets nobody wait out the rest",
  },
];
for (const { settings, run, want, why } of rows) {
  const name = Object.entries(settings).map(([key, value]) => `${key} = ${value}`);
  test(`${name.join(", ")}: ${why}`, async () => {
    const deliveries = new Deliveries();
    assert.deepEqual(await run(new World({ deliver: deliveries.deliver, settings }), deliveries), want);
  });
}
