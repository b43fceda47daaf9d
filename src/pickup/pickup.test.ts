/** Every user of the machine may put anything into the maildrop directory, and the server may die at any step. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { type Clock, systemClock } from "../base/clock.ts";
import { createCleanup } from "../cleanup/create.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { QueueIdAllocator } from "../mail/queue-id.ts";
import { openStore } from "../queue/sqlite-store.ts";
import { type ClaimedMessage, QueueError, type QueueStore } from "../queue/store.ts";
import { createTableOpener } from "../tables/open.ts";
import { DropFile } from "./drop-file.ts";
import { Pickup } from "./pickup.ts";
import { formatSubmission, type Submission } from "./submission.ts";
import { compileUserList } from "./user-list.ts";

const DAY_MS = 86_400_000;

let directory: string;
let maildrop: string;
let claimed: string;
let store: QueueStore;
let delivered: ClaimedMessage[];
let lines: string[];
const log = (tag: string) => new Log({ sink: ({ text }) => lines.push(text), now: () => 0, tag, id: 1 });

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "postern-pickup-"));
  maildrop = join(directory, "maildrop");
  claimed = join(directory, "pickup");
  for (const path of [maildrop, claimed, join(claimed, "corrupt")]) mkdirSync(path);
  [delivered, lines] = [[], []];
  store = await open();
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const open = () =>
  openStore({
    directory: join(directory, "queue"),
    shard: 0,
    inlineLimit: 65_536,
    log: log("queue"),
    clock: systemClock,
  });

interface Change {
  readonly settings?: Readonly<Record<string, string>>;
  /** The store that cleanup writes to. */
  readonly store?: Pick<QueueStore, "beginBody" | "append" | "readBody">;
  readonly arrived?: (message: ClaimedMessage) => void;
  readonly clock?: Clock;
}

function pickupWith(change: Change = {}): Pickup {
  const { settings = {}, store: other = store, arrived = (message) => void delivered.push(message) } = change;
  const params = parametersOf({ myhostname: "mail.example.org", ...settings });
  const opener = createTableOpener({
    files: { read: () => Buffer.alloc(0) },
    log: log("tables"),
    configDirectory: "/",
  });
  const queue = {
    store: other,
    laneOf: async () => "smtp:x.test",
    arrived,
    poke: () => undefined,
    dueAt: () => undefined,
  };
  const ids = new QueueIdAllocator({
    ...{ nowMicros: systemClock.nowMicros, shard: 0, long: false },
    floorMicros: store.floorMicros,
  });
  return new Pickup({
    directories: { maildrop, claimed },
    service: () => ({
      params,
      log: log("pickup"),
      rewrite: (address) => (address.includes("@") || address === "" ? address : asAddress(`${address}@example.org`)),
      submitters: compileUserList(params.get("authorized_submit_users"), opener),
      cleanup: (arrivedThere) => createCleanup({ params, log: log("cleanup"), ...queue, arrived: arrivedThere }),
    }),
    queue,
    isQueued: async (id) => (await store.read(id)) !== undefined,
    nextQueueId: () => ids.next(),
    freeBytes: () => 1e9,
    userOf: (uid) => ({ uid, name: "tester" }),
    clock: change.clock ?? systemClock,
  });
}

function drop(subject: string, change: Partial<Submission> = {}, body = "body\n"): void {
  const submission = { sender: asAddress("tester"), recipients: [asAddress("bob@x.test")], ...change };
  const file = new DropFile(maildrop);
  file.write(formatSubmission(submission) ?? Buffer.alloc(0));
  file.write(Buffer.from(`Subject: ${subject}\n\n${body}`));
  file.complete();
}

async function contentOf({ content }: ClaimedMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.chunks()) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}
const queued = async () => (await store.list({ limit: 100 })).map(({ queueId }) => queueId);
const left = () => [...readdirSync(maildrop), ...readdirSync(claimed).filter((name) => name !== "corrupt")];

test("a dropped message goes into the queue, and its file goes", async () => {
  drop("hello", { fullName: "T. Ester", notify: ["NEVER"], ret: "HDRS", envid: "e 1", recipients: [asAddress("bob")] });
  await pickupWith().wake();
  const [message] = delivered;
  assert.ok(message);
  const uid = process.getuid?.();
  const { queueId, sender, origin, dsn, body } = message.envelope;
  assert.deepEqual([sender, origin.uid, dsn, body], ["tester@example.org", uid, { ret: "HDRS", envid: "e 1" }, "7BIT"]);
  const [recipient] = message.recipients;
  assert.deepEqual(
    [recipient?.address, recipient?.original, recipient?.dsn],
    ["bob@example.org", "bob", { notify: ["NEVER"] }],
  );
  assert.match(
    await contentOf(message),
    new RegExp(
      `^Received: by mail\\.example\\.org \\(Postern, from userid ${uid}\\)\r\n\tid ${queueId}; [^\r]*\r\n` +
        `Subject: hello\r\nMessage-Id: [^\r]*\r\nDate: [^\r]*\r\nFrom: "T\\. Ester" <tester@example\\.org>\r\n\r\nbody\r\n$`,
    ),
  );
  assert.ok(lines.includes(`${queueId}: uid=${uid} from=<tester>`), lines.join("\n"));
  assert.deepEqual(left(), []);
});

test("mail for a gateway keeps its header; 8 bits are seen", async () => {
  drop("gateway", { gateway: true }, "\xfc\n");
  await pickupWith().wake();
  assert.match(
    await contentOf(delivered[0] as ClaimedMessage),
    /^Received: [^\r]*\r\n\t[^\r]*\r\nSubject: gateway\r\n\r\n/,
  );
  assert.equal(delivered[0]?.envelope.body, "8BITMIME");
});

test("content_filter of the pickup service's own scope applies, and its copies", async () => {
  drop("filtered");
  await pickupWith({ settings: { content_filter: "smtp:[127.0.0.1]:10025" } }).wake();
  assert.equal(delivered[0]?.envelope.filter, "smtp:[127.0.0.1]:10025");
});

test("an incomplete file is left alone, and removed when it is a day old", async () => {
  const file = new DropFile(maildrop);
  file.write(Buffer.from("postern-maildrop 1 "));
  await pickupWith().wake();
  assert.equal(left().length, 1);
  await pickupWith({ clock: { ...systemClock, now: () => systemClock.now() + 2 * DAY_MS } }).wake();
  assert.deepEqual(left(), []);
  assert.match(lines.join("\n"), /: incomplete for a day, removed$/m);
});

test("each recipient may have asked for something else, and the message may have had an id", async () => {
  const recipients = [asAddress("b@x.test"), asAddress("c@x.test")];
  drop("each", { recipients, dsn: [{ notify: ["SUCCESS"], orcpt: "rfc822;b@x.test" }, {}], originalId: "4BE0A21E5F5" });
  await pickupWith().wake();
  const asked = delivered[0]?.recipients.map(({ dsn }) => dsn?.notify);
  assert.deepEqual(asked, [["SUCCESS"], undefined]);
  assert.match(lines.join("\n"), / from=<tester> orig_id=4BE0A21E5F5$/m);
});

const COMPLETE = 0o744;
const hostile: readonly { why: string; make: (path: string) => void; said: RegExp }[] = [
  {
    why: "a symbolic link to somebody's file",
    make: (path) => {
      writeFileSync(join(directory, "secret"), "postern-maildrop 1 {}\n", { mode: COMPLETE });
      symlinkSync(join(directory, "secret"), path);
    },
    said: /not a regular file/,
  },
  {
    why: "a hard link to somebody's file",
    make: (path) => {
      writeFileSync(join(directory, "secret"), "root:x:0:0\n", { mode: COMPLETE });
      linkSync(join(directory, "secret"), path);
    },
    said: /file has 2 links/,
  },
  {
    why: "a FIFO that nobody writes to",
    make: (path) => execFileSync("mkfifo", ["-m", "744", path]),
    said: /not a regular/,
  },
  { why: "a directory", make: (path) => mkdirSync(path, { mode: COMPLETE }), said: /not a regular file/ },
  {
    why: "a file of another kind",
    make: (path) => writeFileSync(path, "#!/bin/sh\n", { mode: COMPLETE }),
    said: /uid=\d+: malformed input: moved to pickup\/corrupt/,
  },
  {
    why: "an empty file",
    make: (path) => writeFileSync(path, "", { mode: COMPLETE }),
    said: /malformed input/,
  },
  {
    why: "a first line without end, and without content behind it",
    make: (path) => {
      writeFileSync(path, "postern-maildrop 1 ", { mode: COMPLETE });
      truncateSync(path, 2 ** 40);
    },
    said: /malformed input/,
  },
];
for (const { why, make, said } of hostile) {
  test(`hostile: ${why}: is not taken, and stops no other mail`, { timeout: 20_000 }, async () => {
    make(join(maildrop, "hostile\nname"));
    drop("good");
    await pickupWith().wake();
    assert.equal(delivered.length, 1);
    assert.match(lines.join("\n"), said);
    assert.ok(lines.every((line) => !line.includes("\n")));
    if (existsSync(join(directory, "secret"))) rmSync(join(directory, "secret")); // it was still there
  });
}

test("hostile: content of a tebibyte goes back to its sender, cut", { timeout: 30_000 }, async () => {
  drop("huge");
  const [name = ""] = readdirSync(maildrop);
  truncateSync(join(maildrop, name), 2 ** 40);
  await pickupWith({ settings: { message_size_limit: "100000" } }).wake();
  const [message] = delivered;
  assert.equal(message?.envelope.filter, "error:5.3.4 message file too big");
  assert.ok(message && message.sizeBytes > 50_000 && message.sizeBytes <= 102_400);
  assert.deepEqual(left(), []);
});

test("hostile: something else has taken the place of a claimed file", async () => {
  drop("elsewhere");
  const [name = ""] = readdirSync(maildrop);
  renameSync(join(maildrop, name), join(directory, "secret"));
  symlinkSync(join(directory, "secret"), join(claimed, "000006B05A73000"));
  drop("good");
  await pickupWith().wake();
  assert.equal(delivered.length, 1);
  assert.deepEqual(readdirSync(join(claimed, "corrupt")), ["000006B05A73000"]);
});

test("hostile: a file that its owner has made unreadable waits, or is read by root", async () => {
  drop("unreadable");
  const [name = ""] = readdirSync(maildrop);
  chmodSync(join(maildrop, name), 0o300);
  drop("good");
  await pickupWith().wake();
  assert.ok(delivered.length >= 1);
});

test("mail from users who may not submit is removed, with a warning", async () => {
  drop("no");
  await pickupWith({ settings: { authorized_submit_users: "!tester, static:anyone" } }).wake();
  assert.deepEqual([delivered.length, left()], [0, []]);
  assert.match(lines.join("\n"), /: User tester\(\d+\) is not allowed to submit mail: removed$/m);
});

test("mail waits while the list of users cannot be asked", async () => {
  drop("later");
  await pickupWith({ settings: { authorized_submit_users: "fail:down" } }).wake();
  assert.deepEqual([delivered.length, left().length], [0, 1]);
  await pickupWith().wake();
  assert.deepEqual([delivered.length, left()], [1, []]);
});

test("mail waits while the disk is full, and is taken under the same id", async () => {
  drop("wait");
  const full = {
    beginBody: store.beginBody.bind(store),
    readBody: store.readBody.bind(store),
    append: () => Promise.reject(new QueueError("full", { full: true })),
  };
  await pickupWith({ store: full }).wake();
  const [id] = left();
  assert.deepEqual([delivered.length, left().length], [0, 1]);
  assert.match(lines.join("\n"), /Insufficient system storage: it stays in the maildrop/);
  await pickupWith().wake();
  assert.equal(delivered[0]?.envelope.queueId, id);
});

test("the file is gone before the scheduler hears of the message", async () => {
  drop("order");
  const seen: (readonly string[])[] = [];
  await pickupWith({ arrived: () => void seen.push(left()) }).wake();
  assert.deepEqual(seen, [[]]);
});

test("a file that cannot be removed keeps its message from the scheduler, until it can", async () => {
  drop("stuck");
  const pickup = pickupWith({
    store: {
      beginBody: store.beginBody.bind(store),
      readBody: store.readBody.bind(store),
      append: async (message, options) => {
        const appended = await store.append(message, options);
        renameSync(claimed, `${claimed}.away`);
        writeFileSync(claimed, "");
        return appended;
      },
    },
  });
  await pickup.wake();
  assert.equal(delivered.length, 0);
  rmSync(claimed);
  renameSync(`${claimed}.away`, claimed);
  pickup.start(() => 0); // only a look of its own comes back to what is left
  await pickup.wake();
  assert.equal(delivered.length, 1);
  assert.deepEqual([(await queued()).length, left()], [1, []]);
});

/** The process ends with the message committed, and its file there. */
async function dieBehindCommit(): Promise<void> {
  const dying = {
    beginBody: store.beginBody.bind(store),
    readBody: store.readBody.bind(store),
    append: async (message: Parameters<QueueStore["append"]>[0], options: { readonly claim: boolean }) => {
      await store.append(message, options);
      throw new QueueError("the process has ended", {});
    },
  };
  await pickupWith({ store: dying }).wake();
  await store.close();
  store = await open();
}

test("a crash behind the commit doubles nothing: recover() removes the file", async () => {
  drop("once");
  await dieBehindCommit();
  assert.equal(left().length, 1);
  const pickup = pickupWith();
  await pickup.recover();
  assert.deepEqual(left(), []);
  await pickup.wake();
  assert.equal((await queued()).length, 1);
});

test("a crash behind the commit doubles nothing, even if recover() was not called", async () => {
  drop("once");
  await dieBehindCommit();
  await pickupWith().wake();
  assert.equal((await queued()).length, 1);
});

test("a crash before the commit loses nothing: the message is taken under the id that its file has", async () => {
  drop("once");
  const [name = ""] = readdirSync(maildrop);
  renameSync(join(maildrop, name), join(claimed, "000006B05A73000"));
  const pickup = pickupWith();
  await pickup.recover();
  await pickup.wake();
  assert.deepEqual(await queued(), ["000006B05A73000"]);
});

test("without its directories it takes nothing, says so, and goes on when they are back", async () => {
  rmSync(claimed, { recursive: true });
  renameSync(maildrop, `${maildrop}.away`);
  const pickup = pickupWith();
  await pickup.recover();
  await pickup.wake();
  assert.match(lines.join("\n"), /^maildrop: ENOENT/m);
  mkdirSync(claimed);
  renameSync(`${maildrop}.away`, maildrop);
  drop("back");
  await pickup.wake();
  assert.equal(delivered.length, 1);
});

test("more files than one batch, and those that come meanwhile", async () => {
  for (let i = 0; i < 30; i++) drop(`batch ${i}`);
  const pickup = pickupWith();
  const first = pickup.wake();
  for (let i = 0; i < 3; i++) drop(`late ${i}`);
  await Promise.all([first, pickup.wake()]);
  assert.deepEqual([delivered.length, left()], [33, []]);
});

test("the time of arrival is when the file was completed, never the future", async () => {
  drop("old");
  const [name = ""] = readdirSync(maildrop);
  utimesSync(join(maildrop, name), 0, 2 ** 31); // a user may set these
  const before = systemClock.now();
  await pickupWith().wake();
  const { arrivalMs = 0 } = delivered[0]?.envelope ?? {};
  assert.ok(arrivalMs > before - 60_000 && arrivalMs <= systemClock.now());
});

test("a refused message that cannot be queued for its return leaves no content behind", async () => {
  drop("large", {}, "x".repeat(200_000));
  const full: Pick<QueueStore, "beginBody" | "append" | "readBody"> = {
    beginBody: (id) => store.beginBody(id),
    readBody: (body) => store.readBody(body),
    append: async () => {
      throw new QueueError("database is full", { full: true });
    },
  };
  const pickup = pickupWith({ settings: { message_size_limit: "1000" }, store: full });
  await pickup.wake();
  assert.equal(left().length, 1, "it waits");
  assert.deepEqual(readdirSync(join(directory, "queue", "shard-00", "content")), []);
});
