/** test/crash/site.ts: one server with its far end and its ledger, and what a crash test does with them: send, ask as an
 *  operator does, wait until the queue is empty, judge. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { askControl } from "../../src/net/control-socket.ts";
import { Conversation } from "../testbed/conversation.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { bodyOf, FarEnd } from "./far-end.ts";
import { type Attempt, Ledger, type Verdict } from "./ledger.ts";
import { Mailbox } from "./mailbox.ts";

const DRAIN_MS = 60_000;
const OWED_MS = 2000;
const RETRY_MS = 25;

/** Where `team` becomes others before it is queued, and `list` when it is delivered; `box` has a maildir. */
const DOMAINS: ReadonlyMap<string, string> = new Map([
  ["team", "alias.test"],
  ["list", "local.test"],
  ["box", "local.test"],
]);

export interface Letter {
  readonly sizeBytes: number;
  /** Local parts, without the id that makes each unique; see far-end.ts. */
  readonly to: readonly string[];
  /** Recipients the next hop gets instead, where aliases and BCC change them; with a domain, as they are. */
  readonly becomes?: readonly string[];
}

export interface Sent {
  readonly attempt: Attempt;
  readonly queueId: string;
}

export class CrashSite {
  readonly ledger: Ledger;
  readonly farEnd: FarEnd;
  readonly server: TestServer;
  readonly port: number;
  readonly #mailbox: Mailbox;
  /** Gets the reply, or why there was none. */
  onRefusal: (reply: string) => void = () => undefined;
  onAccepted: (sent: Sent, letter: Letter) => void = () => undefined;
  #serial = 0;
  #client: Conversation | undefined;

  private constructor(parts: { ledger: Ledger; farEnd: FarEnd; server: TestServer; port: number }) {
    this.ledger = parts.ledger;
    this.farEnd = parts.farEnd;
    this.server = parts.server;
    this.port = parts.port;
    const boxes = join(this.server.directory, "boxes");
    this.#mailbox = new Mailbox(boxes, parts);
    this.server.append("main.cf", `postern_local_maildir = ${boxes}/$user/\n`);
  }

  /** Starts nothing but the far end. */
  static async make(settings = ""): Promise<CrashSite> {
    const ledger = new Ledger();
    const farEnd = await FarEnd.start(ledger);
    const port = await freePort();
    const server = new TestServer({
      mainCf: `relayhost = [127.0.0.1]:${farEnd.port}
compatibility_level = 3.10
postern_workers = 1
mydestination = local.test
local_recipient_maps =
recipient_delimiter = .
alias_maps = texthash:${"$"}config_directory/local-aliases
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_alias_domains = alias.test
virtual_alias_maps = regexp:${"$"}config_directory/aliases
recipient_bcc_maps = regexp:${"$"}config_directory/bcc
minimal_backoff_time = 1s
maximal_backoff_time = 2s
transport_retry_time = 1s
${settings}`,
      masterCf: `${port} inet n - n - - smtpd\n`,
      files: {
        aliases: "/^team\\.(.*)@alias\\.test$/ one.$1@far.test, two.$1@far.test\n",
        "local-aliases": "list: first@far.test, second@far.test\n",
        bcc: "/^copied\\.(.*)@far\\.test$/ archive.$1@far.test\n",
      },
    });
    server.append("main.cf", `config_directory = ${server.directory}\n`);
    return new CrashSite({ ledger, farEnd, server, port });
  }

  async close(): Promise<void> {
    this.hangUp();
    await this.server[Symbol.asyncDispose]();
    await this.farEnd.close();
  }

  /** One attempt over the site's connection; undefined when it was not answered 250, which onRefusal is told. */
  async send(letter: Letter): Promise<Sent | undefined> {
    const id = `${process.pid.toString(36)}-${(this.#serial++).toString(36)}`;
    const address = (local: string) =>
      local.includes("@") ? local : `${local}.${id}@${DOMAINS.get(local) ?? "far.test"}`;
    const isRefused = (local: string) => local === "refuse" || local === "turn";
    const attempt = this.ledger.begin({
      id,
      taken: (letter.becomes ?? letter.to).filter((local) => !isRefused(local)).map(address),
      reportTo: letter.to.some(isRefused) ? `sender.${id}@near.test` : undefined,
    });
    const body = bodyOf(id, letter.sizeBytes);
    this.farEnd.expect(id, body);
    const reply = await this.#say(
      [`MAIL FROM:<sender.${id}@near.test>`, ...letter.to.map((local) => `RCPT TO:<${address(local)}>`), "DATA"],
      `X-Load-Id: ${id}\r\nSubject: ${id}\r\n\r\n${body}\r\n.`,
    );
    const queueId = /^250 2\.0\.0 Ok: queued as (\w+)$/.exec(reply)?.[1];
    if (queueId !== undefined) {
      attempt.accepted = true;
      const sent = { attempt, queueId };
      this.onAccepted(sent, letter);
      return sent;
    }
    this.onRefusal(reply);
    return undefined;
  }

  /** Sends until it is accepted; undefined when `deadlineMs` (a Date.now()) has passed. */
  async deliverInto(letter: Letter, deadlineMs: number): Promise<Sent | undefined> {
    while (Date.now() < deadlineMs) {
      const sent = await this.send(letter);
      if (sent) return sent;
      await sleep(RETRY_MS);
    }
    return undefined;
  }

  /** One operation on the queue. Rejects when it is not confirmed. */
  queue(op: string, ids: readonly string[] | "ALL"): Promise<unknown> {
    return this.control("queue", { op, ids });
  }

  control(op: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return askControl(join(this.server.directory, "spool/public/control"), { op, args });
  }

  /** The one worker, once it serves. */
  async workerPid(): Promise<number> {
    for (const end = Date.now() + DRAIN_MS; Date.now() < end; await sleep(RETRY_MS)) {
      const [pid] = await this.server.workerPids().catch((): readonly number[] => []);
      if (pid !== undefined) return pid;
    }
    throw new Error(`No worker serves:\n${this.server.log().slice(-4000)}`);
  }

  /** The next message goes over another connection. */
  hangUp(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  /** Opens the far end, lets everything go, and waits until the queue is empty; false when it never is, or when it need not
   *  be. What is owed then may still be on its way for a moment. */
  async drain(isOver: () => boolean = () => false): Promise<boolean> {
    this.hangUp();
    this.farEnd.open(true);
    try {
      const end = Date.now() + DRAIN_MS;
      while (!(await this.#isEmptyAfterFlush())) {
        if (Date.now() > end || isOver()) return false;
        await sleep(RETRY_MS);
      }
      this.#mailbox.collect();
      for (const late = Date.now() + OWED_MS; this.ledger.owed().length > 0 && Date.now() < late; ) {
        await this.ledger.changed(RETRY_MS);
        this.#mailbox.collect();
      }
      return true;
    } finally {
      this.farEnd.open(false);
    }
  }

  /** What is left on disk although the queue is empty. */
  litter(): readonly string[] {
    const queue = join(this.server.directory, "spool/queue");
    return readdirSync(queue).flatMap((name) => {
      if (!/^shard-\d+$/.test(name)) return [name];
      return readdirSync(join(queue, name, "content")).map((file) => join(name, "content", file));
    });
  }

  /** Whether all of it has come, to the far end and to the mailbox. */
  isComplete(attempt: Attempt): boolean {
    this.#mailbox.collect();
    return this.ledger.isComplete(attempt);
  }

  /** Judges, and begins anew. */
  judge(): Verdict {
    this.#mailbox.collect();
    const verdict = this.ledger.judge();
    this.farEnd.forget();
    return verdict;
  }

  async #isEmptyAfterFlush(): Promise<boolean> {
    try {
      const listed = (await this.queue("list", "ALL")) as readonly { queue: string }[];
      if (listed.length === 0) return true;
      if (listed.some(({ queue }) => queue === "hold")) await this.queue("release", "ALL");
      await this.queue("flush", "ALL");
    } catch {
      // The worker, or the master, is being started.
    }
    return false;
  }

  /** The last reply, or why there was none. */
  async #say(commands: readonly string[], content: string): Promise<string> {
    try {
      this.#client ??= await this.#connect();
      for (const command of commands) {
        const reply = await this.#client.say(command);
        if (!/^[23]/.test(reply)) {
          await this.#client.say("RSET");
          return reply;
        }
      }
      return await this.#client.say(content);
    } catch (error) {
      this.hangUp();
      return (error as Error).message;
    }
  }

  async #connect(): Promise<Conversation> {
    const client = await Conversation.open(this.port);
    await client.say("EHLO client.example");
    return client;
  }
}
