/** tables/sql-pool.test.ts: which host is asked, when one rests, how connections are shared and when they end. The servers
 *  are made up; test/interop has real ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { type SqlConnection, type SqlHost, SqlPool, type SqlPoolOptions, StatementError } from "./sql-pool.ts";
import { TableError } from "./table.ts";

/** A clock that stands still until it is told. */
class ManualClock implements Clock {
  #at = 0;
  readonly #timers = new Map<object, { readonly due: number; readonly run: () => void }>();

  now = () => this.#at;
  monotonic = () => this.#at;
  nowMicros = () => this.#at * 1000;
  sleep = () => Promise.reject(new Error("nobody sleeps here"));

  after(delayMs: number, run: () => void) {
    const timer = {};
    this.#timers.set(timer, { due: this.#at + delayMs, run });
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** In steps, so that timers started by timers fire too. */
  async pass(ms: number): Promise<void> {
    for (const end = this.#at + ms; this.#at < end; ) {
      this.#at = Math.min(end, this.#at + 250);
      for (const [timer, { due, run }] of this.#timers) {
        if (due > this.#at) continue;
        this.#timers.delete(timer);
        run();
      }
      await settle();
    }
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A database server as the pool sees it. */
class FakeHost implements SqlHost {
  readonly name: string;
  readonly unix: boolean;
  up = true;
  /** Queries get no answer. */
  silent = false;
  /** Statements are refused. */
  refuses = false;
  connects = 0;
  closed = 0;
  readonly queries: string[] = [];
  readonly #open = new Set<{ lose: () => void; fail: (error: Error) => void }>();

  constructor(name: string) {
    this.name = name;
    this.unix = name.startsWith("unix:");
  }

  async connect(lost: () => void): Promise<SqlConnection> {
    this.connects++;
    if (!this.up) throw new Error("connect ECONNREFUSED");
    const session = { lose: lost, fail: (_: Error): void => undefined };
    this.#open.add(session);
    return {
      query: (sql) =>
        new Promise((resolve, reject) => {
          this.queries.push(sql);
          session.fail = reject;
          if (!this.up) reject(new Error("read ECONNRESET"));
          else if (this.refuses) reject(new StatementError("no such table", "42P01", undefined));
          else if (!this.silent) setImmediate(() => resolve([[this.name]]));
        }),
      close: () => {
        this.closed++;
        this.#open.delete(session);
        lost();
      },
    };
  }

  /** The server ends its connections; `noticed`: before the next query. */
  restart({ noticed }: { readonly noticed: boolean }): void {
    for (const session of this.#open) {
      if (noticed) session.lose();
      else session.fail(new Error("read ECONNRESET"));
    }
  }

  get open(): number {
    return this.#open.size;
  }
}

function setUp(names: readonly string[], options: Partial<SqlPoolOptions> = {}) {
  const hosts = names.map((name) => new FakeHost(name));
  const clock = new ManualClock();
  const warnings: string[] = [];
  const pool = new SqlPool({
    type: "pgsql",
    hosts,
    idleMs: 60_000,
    retryMs: 60_000,
    clock,
    warn: (text) => void warnings.push(text),
    random: () => 0,
    ...options,
  });
  const ask = async () => (await pool.run((connection) => connection.query("q", [])))?.[0]?.[0];
  return {
    pool,
    hosts: hosts as [FakeHost, ...FakeHost[]],
    second: hosts[1] ?? new FakeHost(""),
    clock,
    warnings,
    ask,
  };
}

test("SqlPool connects at the first query and keeps the connection", async () => {
  const { hosts, ask } = setUp(["a"]);
  assert.equal(hosts[0].connects, 0);
  for (let i = 0; i < 5; i++) assert.equal(await ask(), "a");
  assert.equal(hosts[0].connects, 1);
});

test("SqlPool asks hosts behind a socket first", async () => {
  const { second, ask } = setUp(["a", "unix:/b"]);
  assert.equal(await ask(), "unix:/b");
  second.up = false;
  second.restart({ noticed: true });
  assert.equal(await ask(), "a");
});

test("SqlPool chooses a host at random", async () => {
  const { ask } = setUp(["a", "b"], { random: (below) => below - 1 });
  assert.equal(await ask(), "b");
});

test("SqlPool falls over, and lets the failed host rest for retry_interval", async () => {
  const { hosts, warnings, clock, ask } = setUp(["a", "b"], { idleMs: 1000 });
  hosts[0].up = false;
  assert.equal(await ask(), "b");
  assert.deepEqual(warnings, ["connect to pgsql server a: connect ECONNREFUSED"]);
  hosts[0].up = true;
  await clock.pass(30_000);
  assert.equal(await ask(), "b", "still resting");
  await clock.pass(31_000);
  assert.equal(await ask(), "a");
});

test("SqlPool rejects TableError while all hosts rest, without asking them", async () => {
  const { hosts, clock, ask } = setUp(["a"]);
  hosts[0].up = false;
  const down = (error: unknown) =>
    error instanceof TableError && /no host can be asked: a: connect/.test(error.message);
  await assert.rejects(ask(), down);
  hosts[0].up = true;
  await assert.rejects(ask(), down);
  assert.equal(hosts[0].connects, 1);
  await clock.pass(60_250);
  assert.equal(await ask(), "a");
});

test("SqlPool asks a host twice that is listed twice, as a load balancer is", async () => {
  const { hosts, second, ask } = setUp(["lb", "lb"]);
  hosts[0].up = false;
  assert.equal(await ask(), "lb");
  assert.equal(second.connects, 1);
});

for (const noticed of [true, false]) {
  test(`SqlPool asks a restarted server over a new connection, end ${noticed ? "noticed" : "found out"}`, async () => {
    const { hosts, warnings, ask } = setUp(["a"]);
    await ask();
    if (noticed) hosts[0].restart({ noticed });
    const answer = ask();
    if (!noticed) {
      await Promise.resolve();
      hosts[0].restart({ noticed });
    }
    assert.equal(await answer, "a");
    assert.equal(hosts[0].connects, 2);
    assert.deepEqual(warnings, []);
  });
}

test("SqlPool takes a host that drops a new connection for failed", async () => {
  const { hosts, warnings, ask } = setUp(["a"]);
  hosts[0].silent = true;
  const answer = ask();
  await settle();
  hosts[0].restart({ noticed: false });
  await assert.rejects(answer, TableError);
  assert.deepEqual(warnings, ["pgsql query failed: fatal error from host a: read ECONNRESET"]);
});

test("SqlPool does not let a host rest that refuses a statement, but asks the others", async () => {
  const { hosts, second, warnings, ask } = setUp(["a", "b"]);
  hosts[0].refuses = true;
  assert.equal(await ask(), "b");
  second.refuses = true;
  await assert.rejects(ask(), { name: "TableError", message: /^query failed at host .: no such table$/ });
  hosts[0].refuses = second.refuses = false;
  await ask();
  assert.deepEqual(warnings, []);
  assert.equal(hosts[0].connects + second.connects, 2, "and keeps their connections");
});

test("SqlPool ends a connection whose query gets no answer", async () => {
  const { hosts, clock, ask } = setUp(["a"]);
  await ask();
  hosts[0].silent = true;
  const answer = assert.rejects(ask(), { name: "TableError", message: /no answer within 10 seconds/ });
  await clock.pass(11_000);
  await answer;
  assert.equal(hosts[0].open, 0);
});

test("SqlPool ends idle connections after idle_interval", async () => {
  const { pool, hosts, clock, ask } = setUp(["a"]);
  await ask();
  await clock.pass(59_000);
  await ask();
  await clock.pass(59_000);
  assert.equal(hosts[0].open, 1);
  await clock.pass(2_000);
  assert.equal(hosts[0].open, 0);
  assert.equal(pool.size, 0);
});

test("SqlPool shares four connections among many lookups", async () => {
  const { pool, hosts, ask } = setUp(["a"]);
  const answers = await Promise.all(Array.from({ length: 200 }, ask));
  assert.ok(answers.every((answer) => answer === "a"));
  assert.equal(hosts[0].connects, 4);
  assert.equal(pool.size, 4);
});

test("SqlPool bounds how many lookups wait, and for how long", async () => {
  const { hosts, clock, ask } = setUp(["a"], { retryMs: 1000 });
  hosts[0].silent = true;
  const all = Promise.allSettled(Array.from({ length: 1010 }, ask));
  await clock.pass(60_000);
  const reasons = (await all).map((result) => (result.status === "rejected" ? String(result.reason) : "answered"));
  assert.equal(reasons.filter((text) => /more than 1000 lookups wait/.test(text)).length, 6);
  assert.ok(reasons.every((text) => text.startsWith("TableError: ")));
});

test("SqlPool makes room for a host that answers", async () => {
  const { hosts, second, ask } = setUp(["a", "b"]);
  await Promise.all(Array.from({ length: 10 }, ask));
  assert.equal(hosts[0].open, 4);
  hosts[0].refuses = true;
  assert.equal(await ask(), "b");
  assert.equal(second.open, 1);
  assert.equal(hosts[0].open, 3);
});

test("SqlPool close() ends all, busy ones too; later lookups fail", async () => {
  const { pool, hosts, warnings, ask } = setUp(["a"]);
  await ask();
  hosts[0].silent = true;
  const busy = [ask(), ask()].map((answer) => assert.rejects(answer, TableError));
  await settle();
  pool.close();
  hosts[0].restart({ noticed: false });
  assert.equal(hosts[0].open, 0);
  await assert.rejects(ask(), { name: "TableError", message: /the table is closed/ });
  assert.deepEqual(warnings, []);
  assert.equal(busy.length, 2);
});

test("SqlPool makes texts of servers printable", async () => {
  const { hosts, ask } = setUp(["a"]);
  hosts[0].connect = () => Promise.reject(new Error("bad\r\nline"));
  await assert.rejects(ask(), { message: "no host can be asked: a: bad??line" });
});
