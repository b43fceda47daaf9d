/** test/garbage.test.ts: what comes from the Internet: bytes that are no SMTP, lines without an end, TLS that is none, and
 *  clients that vanish at every step. The session ends rightly or silently; nobody else notices, nothing grows, nothing
 *  dies. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "./testbed/conversation.ts";
import { LOGIN, PASSWORD, type Site, startSite } from "./testbed/submission-site.ts";

const MIB = 1024 * 1024;
/** V8 lets 64 MiB of dead buffers gather before it collects them; that much may come, and stay, whatever was read. */
const GROWTH_LIMIT_BYTES = 96 * MIB;
/** A line that was kept would show. */
const LONG_LINE_BYTES = 160 * MIB;
const SILENCE_MS = 15_000;

interface Rudeness {
  /** Sent one by one, each after the reply to the one before; the greeting counts as the first. */
  readonly say?: readonly (string | Uint8Array)[];
  /** Sent afterwards, as fast as it is taken. */
  readonly chunks?: Iterable<string | Uint8Array>;
  readonly end: "half-close" | "destroy";
}

/** Runs one client until the server has hung up, too; resolves to all it said. */
async function pour(port: number, { say, chunks = [], end }: Rudeness): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let said = "";
  let wake: () => void = () => undefined;
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
    if (/^\d{3} .*\r\n$/m.test(said)) wake();
  });
  // A reset is one of the ways a server may end a conversation with garbage.
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const heard = () => Promise.race([closed, new Promise<void>((resolve) => (wake = resolve))]);
  if (say) await heard();
  for (const line of say ?? []) {
    const replied = heard();
    socket.write(line);
    await replied;
  }
  for (const chunk of chunks) {
    if (socket.destroyed) break;
    if (socket.write(chunk)) continue;
    await Promise.race([closed, new Promise<void>((resolve) => socket.once("drain", () => resolve()))]);
  }
  if (end === "half-close") socket.end();
  else socket.destroy();
  const how = await Promise.race([closed.then(() => "closed"), sleep(SILENCE_MS, "late", { ref: false })]);
  socket.destroy();
  assert.equal(how, "closed", `the session did not end; it said ${JSON.stringify(said.slice(-300))}`);
  return said;
}

function* repeated(chunk: Uint8Array, bytes: number): Generator<Uint8Array> {
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk;
}

/** Resident bytes of a process. */
function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kilobytes) * 1024;
}

/** Every byte value but the line ends, in an order that repeats. */
const CRLF = Buffer.from("\r\n");
const noise = Buffer.from(Array.from({ length: 4096 }, (_, n) => (n * 167 + (n >> 8)) % 256)).map((byte) =>
  byte === 10 || byte === 13 ? 0 : byte,
);

describe("garbage", { concurrency: false, timeout: 120_000 }, () => {
  let site: Site;
  let pids: readonly number[];
  let residentBefore: readonly number[];
  /** A session that is open the whole time. */
  let bystander: Conversation;

  before(async () => {
    site = await startSite({ mainCf: "postern_workers = 2\nsmtpd_error_sleep_time = 0" });
    pids = await site.server.workerPids();
    // Warm: code and TLS are loaded by the first sessions and stay.
    for (let again = 0; again < 8; again++) {
      await sendOne(`warm${again}`);
      (await Conversation.open(site.submissions, { tls: true })).close();
    }
    residentBefore = pids.map(residentBytes);
    bystander = await Conversation.open(site.smtp);
    await bystander.say("EHLO bystander.example");
  });
  after(async () => {
    bystander?.close();
    await site?.stop();
  });

  const sendOne = async (subject: string) => {
    const client = await Conversation.open(site.submission);
    await client.say("EHLO client.example");
    await client.startTls();
    await client.say("EHLO client.example");
    assert.match(await client.authPlain(LOGIN, PASSWORD), /^235 /);
    const message = { from: LOGIN, to: "bob@elsewhere.test", content: `Subject: ${subject}\r\n\r\nbody` };
    assert.match(await client.send(message), /^250 /);
    client.close();
    await site.arrived(`Subject: ${subject}\r\n`);
  };

  /** Highest resident bytes of each worker until stop(). */
  const watchPeak = () => {
    const peak = pids.map(residentBytes);
    const look = () => {
      for (const [n, pid] of pids.entries()) peak[n] = Math.max(peak[n] ?? 0, residentBytes(pid));
    };
    const timer = setInterval(look, 20);
    return {
      stop() {
        clearInterval(timer);
        look();
        return peak;
      },
    };
  };

  /** Before each test: the bystander was not disturbed, mail goes, the same processes are alive. */
  let round = 0;
  beforeEach(async () => {
    assert.match(await bystander.say("NOOP"), /^250 /);
    if (round++ % 5 === 4) await sendOne(`between${round}`);
  });

  const bye = /\r\n221 2\.0\.0 Bye\r\n$/;
  const commands: readonly {
    readonly why: string;
    readonly say: readonly (string | Uint8Array)[];
    readonly last: RegExp;
  }[] = [
    {
      why: "words that are no commands",
      say: ["hello\r\n", "is there anybody\r\n", "QUIT\r\n"],
      last: /(?:\r\n50[02] 5\.5\.\d [^\r]*){2}\r\n221 /,
    },
    { why: "NULs", say: ["\0\0\0\0\r\n", "\0EHLO x\0\r\n", "QUIT\r\n"], last: /(?:\r\n50[02] [^\r]*){2}\r\n221 / },
    {
      why: "NULs in an address",
      say: ["EHLO x\r\n", "MAIL FROM:<a\0@b.test>\r\n", "QUIT\r\n"],
      last: /\r\n50\d [^\r]*\r\n221 /,
    },
    { why: "every byte there is", say: [Buffer.concat([noise, CRLF]), "QUIT\r\n"], last: bye },
    {
      why: "an HTTP request",
      say: ["POST / HTTP/1.1\r\nHost: mail\r\n\r\n"],
      last: /\r\n221 2\.7\.0 Error: I can break rules, too\. Goodbye\.\r\n$/,
    },
    {
      why: "a TLS hello to a plain port",
      say: [Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 13, 10])],
      last: /\r\n50[02] [^\r]*\r\n$/,
    },
    {
      why: "one error after the other",
      say: Array(30).fill("\r\n"),
      last: /\r\n421 4\.7\.0 [^\r]*too many errors\r\n$/,
    },
    { why: "bare line feeds", say: ["EHLO x\n", "QUIT\n"], last: /^220 / },
    { why: "one long line", say: [`EHLO ${"x".repeat(100_000)}\r\n`, "QUIT\r\n"], last: bye },
    {
      why: "a flood before EHLO was answered",
      say: ["NOOP\r\n".repeat(5000)],
      last: /\r\n554 5\.5\.0 Error: SMTP protocol synchronization\r\n$/,
    },
    {
      why: "a flood of RSET",
      say: ["EHLO x\r\n", "RSET\r\n".repeat(5000)],
      last: /\r\n421 4\.7\.0 [^\r]*too many errors\r\n$/,
    },
  ];
  for (const { why, say, last } of commands) {
    test(`commands: ${why}`, async () => {
      assert.match(await pour(site.smtp, { say, end: "half-close" }), last);
    });
  }

  const transaction = ["EHLO x\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<local@example.org>\r\n", "DATA\r\n"];
  const endless: readonly {
    readonly why: string;
    readonly say: readonly (string | Uint8Array)[];
    readonly told: RegExp;
  }[] = [
    { why: "as a command", say: ["EHLO x\r\n"], told: /^220 / },
    { why: "as message content", say: transaction, told: /\r\n354 / },
  ];
  for (const { why, say, told } of endless) {
    test(`a line of 160 MB without an end, ${why}`, async () => {
      const line = (bytes: number) => repeated(Buffer.alloc(65536, "x"), bytes);
      // On a busy machine one worker may have had no session yet: each gets one before it is measured.
      for (let again = 0; again < 8; again++) await pour(site.smtp, { say, chunks: line(MIB), end: "half-close" });
      const before = pids.map(residentBytes);
      const peak = watchPeak();
      assert.match(await pour(site.smtp, { say, chunks: line(LONG_LINE_BYTES), end: "half-close" }), told);
      for (const [n, bytes] of peak.stop().entries())
        assert.ok(bytes - (before[n] ?? 0) < GROWTH_LIMIT_BYTES, `grew by ${(bytes - (before[n] ?? 0)) / MIB} MiB`);
      assert.equal((await site.server.run(["mailq"])).stdout, "Mail queue is empty\n");
    });
  }

  const afterStartTls: readonly { why: string; bytes: Uint8Array }[] = [
    { why: "noise", bytes: noise },
    { why: "SMTP in clear", bytes: Buffer.from("EHLO x\r\nMAIL FROM:<a@b.test>\r\n") },
    { why: "a hello cut short", bytes: Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]) },
    { why: "a record of the wrong length", bytes: Buffer.from([22, 3, 1, 255, 255, ...Array(2000).fill(1)]) },
    { why: "nothing", bytes: Buffer.alloc(0) },
  ];
  for (const { why, bytes } of afterStartTls) {
    test(`after STARTTLS: ${why}`, async () => {
      const client = await Conversation.open(site.submission);
      await client.say("EHLO x");
      assert.match(await client.say("STARTTLS"), /^220 /);
      client.write(bytes);
      await sleep(50);
      client.close();
    });
    test(`to the wrapper port: ${why}`, async () => {
      const said = await pour(site.submissions, { chunks: [bytes], end: "half-close" });
      assert.doesNotMatch(said, /^\d\d\d/, "nothing in clear");
    });
  }

  test("commands sent in clear behind STARTTLS are not obeyed (RFC 3207 §6, CVE-2011-0411)", async () => {
    const client = await Conversation.open(site.submission);
    await client.say("EHLO x");
    client.write("STARTTLS\r\nMAIL FROM:<injected@b.test>\r\n");
    assert.match(await client.reply(), /^(?:220|5\d\d) /);
    client.close();
    await sleep(50);
    assert.doesNotMatch(site.server.log(), /from=<injected@b\.test>/);
    assert.match(
      site.server.log(),
      /improper command pipelining after STARTTLS from localhost\S+: MAIL FROM:<injected@/,
    );
  });

  const steps = [...transaction, "Subject: cut\r\n\r\nsome", " more\r\n."];
  for (const end of ["destroy", "half-close"] as const) {
    test(`a client that vanishes at each step (${end}) leaves nothing behind`, async () => {
      for (let step = 0; step <= steps.length; step++) {
        for (const cut of [0, 3]) {
          const say = steps.slice(0, Math.min(step, transaction.length));
          const chunks = [...steps.slice(transaction.length, step), (steps[step] ?? "").slice(0, cut)];
          await pour(site.smtp, { say, chunks, end });
        }
      }
      assert.match(site.server.log(), /lost connection after DATA \(\d+ bytes\) from localhost/);
      assert.equal((await site.server.run(["mailq"])).stdout, "Mail queue is empty\n");
      assert.doesNotMatch(site.server.log(), /from=<a@b\.test>/, "no half message was queued");
    });
  }

  test("two hundred at once that connect and vanish, while mail goes on", async () => {
    const rude = Array.from({ length: 200 }, (_, n) =>
      pour(site.smtp, { chunks: n % 2 ? ["EHLO x\r\n"] : [noise], end: "destroy" }),
    );
    await sendOne("meanwhile");
    await Promise.all(rude);
  });

  test("in the end the same processes are there, not much bigger, with no session left but the bystander's", async () => {
    assert.deepEqual(await site.server.workerPids(), pids);
    const grown = pids.map((pid, n) => residentBytes(pid) - (residentBefore[n] ?? 0));
    for (const bytes of grown)
      assert.ok(bytes < GROWTH_LIMIT_BYTES, `grew by ${grown.map((b) => (b / MIB).toFixed(1))} MiB`);
    let status = "";
    for (const end = performance.now() + 5000; performance.now() < end; await sleep(200)) {
      status = (await site.server.run(["status"])).stdout;
      const sessions = [...status.matchAll(/, (\d+) sessions/g)].reduce((sum, found) => sum + Number(found[1]), 0);
      if (sessions === 1) break;
    }
    assert.equal(
      [...status.matchAll(/, (\d+) sessions/g)].reduce((sum, found) => sum + Number(found[1]), 0),
      1,
      status,
    );
    assert.doesNotMatch(site.server.log(), /\bat .*\.ts:\d+|TypeError|RangeError|process worker/);
    assert.equal(await bystander.say("QUIT"), "221 2.0.0 Bye");
    await sendOne("last");
  });
});
