/** "250 2.0.0 Ok: queued as ID" is said only of a message that is on stable storage: a real worker's system calls, followed
 *  by strace, are put to the proof. The judge itself is tested with traces in which a sync is missing, late or failed. And a
 *  sample of power cuts; all of them are `npm run test:crash -- --part power`. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { runPower } from "../crash/power.ts";
import { Tally } from "../crash/tally.ts";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { hasStrace, traceProcess } from "../testbed/strace.ts";
import { type Site, startSite } from "../testbed/submission-site.ts";
import { checkSyncOrder, type SyncReport } from "../testbed/sync-order.ts";

const CALLS = ["write", "writev", "sendto", "sendmsg", "pwrite64", "fsync", "fdatasync", "openat"];
/** postern_queue_inline_limit: a longer body is a file beside the database. */
const INLINE_LIMIT_BYTES = 65_536;

function message(bodyBytes: number): { from: string; to: string; content: string } {
  const lines = "0123456789abcdef".repeat(4).slice(0, 62);
  const body = `${lines}\r\n`.repeat(Math.ceil(bodyBytes / 64)).slice(0, bodyBytes - 2);
  return { from: "alice@example.org", to: "friend@elsewhere.test", content: `Subject: traced\r\n\r\n${body}` };
}

/** Sends in one connection after another message; resolves to the queue ids in the replies. */
async function send(port: number, sizes: readonly number[]): Promise<readonly string[]> {
  const client = await Conversation.open(port);
  await client.say("EHLO client.example");
  const ids: string[] = [];
  for (const size of sizes) {
    const reply = await client.send(message(size));
    const id = /^250 2\.0\.0 Ok: queued as (\w+)$/.exec(reply)?.[1];
    assert.ok(id, reply);
    ids.push(id);
  }
  client.close();
  return ids;
}

describe("a real worker's system calls", {
  concurrency: false,
  timeout: 120_000,
  skip: !hasStrace() && "no strace",
}, () => {
  let site: Site;
  let trace = "";
  let report: SyncReport;
  before(async () => {
    site = await startSite({ mainCf: "mynetworks = 127.0.0.0/8\npostern_workers = 1" });
  });
  after(() => site?.stop());

  const follow = async (run: () => Promise<readonly string[]>) => {
    const [pid = 0, ...others] = await site.server.workerPids();
    assert.equal(others.length, 0, "one worker");
    const following = await traceProcess(pid, CALLS);
    const ids = await run();
    const isWhole = () => checkSyncOrder(following.lines()).ids.length >= ids.length;
    await eventually(async () => assert.ok(isWhole(), "the trace has every reply that clients got"));
    trace = await following.stop();
    report = checkSyncOrder(trace);
    assert.deepEqual(report.ids.toSorted(), ids.toSorted(), "the trace has every reply that clients got");
    assert.deepEqual(report.faults, []);
  };

  const cases = [
    { why: "small, one after the other", sizes: [100, 2000, 20_000, 100, 60_000], files: 0 },
    { why: "up to the limit and one more byte", sizes: [INLINE_LIMIT_BYTES, INLINE_LIMIT_BYTES + 1], files: 1 },
    { why: "large, one after the other", sizes: [70_000, 300_000, 2_000_000], files: 3 },
  ];
  for (const { why, sizes, files } of cases) {
    test(`${why}: synced before the reply`, async () => {
      await follow(() => send(site.smtp, sizes));
      assert.equal(report.withFile.length, files);
    });
  }

  test("small and large from 24 clients at once: synced before each reply", async () => {
    const clients = Array.from({ length: 24 }, (_, i) =>
      i % 3 === 0 ? [80_000, 500, 200_000] : [500, 5000, 500, 30_000],
    );
    await follow(async () => (await Promise.all(clients.map((sizes) => send(site.smtp, sizes)))).flat());
    assert.equal(report.withFile.length, 16);
  });

  const without = (call: RegExp) =>
    checkSyncOrder(
      trace
        .split("\n")
        .filter((line) => !call.test(line))
        .join("\n"),
    );

  test("the same trace without the database's syncs: every reply is reported", () => {
    const { ids, faults } = without(/ f(?:data)?sync\(\d+<[^>]*-wal>/);
    assert.equal(faults.length, ids.length);
  });

  test("the same trace without the syncs of content files: every large one is reported", () => {
    const { withFile, faults } = without(/ f(?:data)?sync\(\d+<[^>]*\/content\/[^>]+>/);
    assert.deepEqual(faults.map((fault) => fault.split(":")[0]).toSorted(), withFile.toSorted());
  });

  test("the same trace without the syncs of the directory: every large one is reported", () => {
    const { withFile, faults } = without(/ f(?:data)?sync\(\d+<[^>]*\/content>/);
    assert.deepEqual(faults.map((fault) => fault.split(":")[0]).toSorted(), withFile.toSorted());
  });
});

test("the power is cut at some points: nothing is lost", {
  timeout: 180_000,
  skip: !hasStrace() && "no strace",
}, async () => {
  const tally = new Tally();
  await runPower(tally, { limit: 12 });
  assert.ok(tally.isGood, tally.summary);
});

const WAL = "/spool/shard-00/queue.sqlite-wal";
const FILE = "/spool/shard-00/content/AB12.1";
const REPLY = '10 1.90 write(30<socket:[7]>, "250 2.0.0 Ok: queued as AB12\\r\\n", 30) = 30';
const OPEN = `11 1.10 openat(AT_FDCWD</>, "${FILE}", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 40<${FILE}>`;
const BODY = `12 1.20 write(40<${FILE}>, "body"..., 70000) = 70000`;
const FILE_SYNC = `11 1.30 fdatasync(40<${FILE}>) = 0`;
const DIRECTORY_SYNC = "11 1.40 fsync(41</spool/shard-00/content>) = 0";
const FILE_LINES = [OPEN, BODY, FILE_SYNC, DIRECTORY_SYNC];
const header = (pages: number) => `\\0\\0\\0\\2\\0\\0\\0\\${pages}${"\\377".repeat(16)}`;
const frame = (pages: number, page: string) => [
  `20 1.50 pwrite64(22<${WAL}>, "${header(pages)}", 24, 32) = 24`,
  `20 1.51 pwrite64(22<${WAL}>, "${page}", 8192, 56) = 8192`,
];
const INNER = frame(0, "\\r\\0AB12 alice");
const COMMIT = frame(7, "\\r\\0friend");
const WAL_SYNC = `20 1.60 fdatasync(22<${WAL}>) = 0`;
const OTHER = `20 1.70 pwrite64(22<${WAL}>, "${header(0)}", 24, 9000) = 24`;

/** Whole traces, with the faults that the judge must find. */
const traces = [
  { why: "small, as it should be", lines: [...INNER, ...COMMIT, WAL_SYNC, REPLY], want: [] },
  { why: "large, as it should be", lines: [...FILE_LINES, ...INNER, ...COMMIT, WAL_SYNC, REPLY], want: [] },
  { why: "one frame only", lines: [...frame(7, "AB12"), WAL_SYNC, REPLY], want: [] },
  { why: "the next transaction may be under way", lines: [...INNER, ...COMMIT, WAL_SYNC, OTHER, REPLY], want: [] },
  {
    why: "a sync in two lines",
    lines: [
      ...INNER,
      ...COMMIT,
      `20 1.6 fdatasync(22<${WAL}> <unfinished ...>`,
      '10 1.7 write(1<pipe:[9]>, "x", 1) = 1',
      "20 1.8 <... fdatasync resumed>) = 0",
      REPLY,
    ],
    want: [],
  },
  {
    why: "two replies in one writev",
    lines: [
      ...INNER,
      ...COMMIT,
      WAL_SYNC,
      '10 1.9 writev(30<socket:[7]>, [{iov_base="250 2.1.5 Ok\\r\\n", iov_len=14}, {iov_base="250 2.0.0 Ok: queued as AB12\\r\\n", iov_len=30}], 2) = 44',
    ],
    want: [],
  },
  { why: "nothing written", lines: [REPLY], want: ["told before a transaction with it was written"] },
  { why: "no sync", lines: [...INNER, ...COMMIT, REPLY], want: ["told before queue.sqlite-wal was synced"] },
  {
    why: "late sync",
    lines: [...INNER, ...COMMIT, REPLY, WAL_SYNC],
    want: ["told before queue.sqlite-wal was synced"],
  },
  {
    why: "sync not yet returned",
    lines: [
      ...INNER,
      ...COMMIT,
      `20 1.6 fdatasync(22<${WAL}> <unfinished ...>`,
      REPLY,
      "20 1.99 <... fdatasync resumed>) = 0",
    ],
    want: ["told before queue.sqlite-wal was synced"],
  },
  {
    why: "failed sync",
    lines: [...INNER, ...COMMIT, `20 1.6 fdatasync(22<${WAL}>) = -1 EIO (Input/output error)`, REPLY],
    want: ["told before queue.sqlite-wal was synced"],
  },
  {
    why: "sync before the commit frame",
    lines: [...INNER, WAL_SYNC, ...COMMIT, REPLY],
    want: ["told before queue.sqlite-wal was synced"],
  },
  {
    why: "no commit frame",
    lines: [...INNER, WAL_SYNC, REPLY],
    want: ["told before a transaction with it was written"],
  },
  {
    why: "sync of another file",
    lines: [...INNER, ...COMMIT, "20 1.6 fdatasync(23</spool/shard-00/queue.sqlite>) = 0", REPLY],
    want: ["told before queue.sqlite-wal was synced"],
  },
  {
    why: "sync begun before the last write returned",
    lines: [
      ...INNER,
      `20 1.50 pwrite64(22<${WAL}>, "${header(7)}", 24, 32) = 24`,
      `20 1.51 pwrite64(22<${WAL}>, "friend", 8192, 56 <unfinished ...>`,
      `21 1.52 fdatasync(22<${WAL}> <unfinished ...>`,
      "20 1.53 <... pwrite64 resumed>) = 8192",
      "21 1.54 <... fdatasync resumed>) = 0",
      REPLY,
    ],
    want: ["told before queue.sqlite-wal was synced"],
  },
  {
    why: "another message was written, not this one",
    lines: [...frame(7, "CD34"), WAL_SYNC, REPLY],
    want: ["told before a transaction with it was written"],
  },
  {
    why: "content file not synced",
    lines: [OPEN, BODY, DIRECTORY_SYNC, ...INNER, ...COMMIT, WAL_SYNC, REPLY],
    want: ["told before AB12.1 was synced"],
  },
  {
    why: "content file synced before its last write",
    lines: [OPEN, BODY, FILE_SYNC, BODY, DIRECTORY_SYNC, ...INNER, ...COMMIT, WAL_SYNC, REPLY],
    want: ["told before AB12.1 was synced"],
  },
  {
    why: "directory not synced",
    lines: [OPEN, BODY, FILE_SYNC, ...INNER, ...COMMIT, WAL_SYNC, REPLY],
    want: ["told before the directory of AB12.1 was synced"],
  },
  {
    why: "directory synced before the file was there",
    lines: [DIRECTORY_SYNC, OPEN, BODY, FILE_SYNC, ...INNER, ...COMMIT, WAL_SYNC, REPLY],
    want: ["told before the directory of AB12.1 was synced"],
  },
];

describe("checkSyncOrder()", () => {
  for (const { why, lines, want } of traces) {
    test(why, () => {
      const report = checkSyncOrder(`${lines.join("\n")}\n`);
      assert.deepEqual(report.ids, ["AB12"]);
      assert.deepEqual(
        report.faults,
        want.map((fault) => `AB12: ${fault}`),
      );
    });
  }

  test("a reply in the log is no reply to a client", () => {
    const line = '10 1.9 write(3<socket:[8]>, "Nov 24 status=sent (250 2.0.0 Ok: queued as EF56)\\n", 50) = 50';
    assert.deepEqual(checkSyncOrder(line), { ids: [], withFile: [], faults: [] });
  });

  test("what is no trace is refused", () => {
    assert.throws(() => checkSyncOrder("strace: attach: Operation not permitted"), /No line of strace/);
  });
});
