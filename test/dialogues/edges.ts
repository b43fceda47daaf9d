/** test/dialogues/edges.ts: an SMTP service on loopback with in-memory edges: a cleanup that keeps the bytes, a policy that
 *  refuses addresses with "denied" in them, a login alice/secret. Everything between is the real thing. */
import { readFileSync } from "node:fs";
import net from "node:net";
import type { AccessPolicy, Verdict } from "../../src/access/access.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Deadlines } from "../../src/base/deadlines.ts";
import type { Cleanup, MessageOptions } from "../../src/cleanup/cleanup.ts";
import { type Parameters, parametersOf } from "../../src/config/parameters.ts";
import { Log } from "../../src/log/log.ts";
import { QueueIdAllocator } from "../../src/mail/queue-id.ts";
import { reply } from "../../src/mail/reply.ts";
import { createSessionNotices } from "../../src/master/session-notices.ts";
import { createServerTls, type ServerTls } from "../../src/net/tls-context.ts";
import { createBeforeQueueFilter } from "../../src/proxy/create.ts";
import type { SaslBackend, SaslStep } from "../../src/sasl/backend.ts";
import { createSmtpd, type Smtpd, type SmtpdOptions } from "../../src/smtpd/create.ts";
import { createDiscardedByAddress } from "../../src/smtpd/discarded-keywords.ts";
import type { HeldMail } from "../../src/smtpd/held-mail.ts";
import { createPriorityLimit } from "../../src/smtpd/priority-limit.ts";
import { createRejectFooter } from "../../src/smtpd/reject-footer.ts";
import { createTableOpener } from "../../src/tables/open.ts";
import { TableError, type TableOpener } from "../../src/tables/table.ts";
import { tabledPolicy } from "./access.ts";

const TESTDATA = new URL("../../src/net/testdata/", import.meta.url);

export interface KeptMessage {
  readonly options: MessageOptions;
  content: string;
  state: "open" | "kept" | "aborted";
  /** Of finish(). */
  extra: { readonly hold: boolean; readonly discard: boolean };
}

export interface Service {
  readonly port: number;
  readonly smtpd: Smtpd;
  readonly log: readonly string[];
  readonly messages: readonly KeptMessage[];
  /** Messages to be held that are being received. */
  reserved(): number;
  close(): Promise<void>;
}

function keepingCleanup(messages: KeptMessage[]): Cleanup {
  return {
    begin(options) {
      const chunks: Buffer[] = [];
      const message: KeptMessage = { options, content: "", state: "open", extra: { hold: false, discard: false } };
      let sizeBytes = 0;
      messages.push(message);
      return {
        write(chunk) {
          chunks.push(Buffer.from(chunk));
          sizeBytes += chunk.length;
        },
        get sizeBytes() {
          return sizeBytes;
        },
        refused: false,
        async finish(extra) {
          message.extra = extra;
          message.content = Buffer.concat(chunks).toString("latin1");
          message.state = "kept";
          if (message.content.includes("DISKFULL")) {
            return { kind: "refused", reply: reply(452, "4.3.1", "Error: queue file write error"), log: "" };
          }
          return { kind: "queued" };
        },
        async abort() {
          message.state = "aborted";
          chunks.length = 0;
        },
      };
    },
  };
}

const PERMIT: Verdict = { decision: { kind: "permit", by: undefined }, effects: [], notices: [], trace: [] };

/** Refuses whatever names "denied" at its stage; "broken" throws, as a bug would. */
function tinyPolicy(): AccessPolicy {
  const check = (named: string | undefined): Promise<Verdict> => {
    if (named?.includes("broken")) throw new Error("Broken on purpose");
    if (!named?.includes("denied")) return Promise.resolve(PERMIT);
    const by = { text: "reject", at: "main.cf:7", parameter: "smtpd_recipient_restrictions" };
    const refusal = reply(554, "5.7.1", `<${named}>: Access denied`);
    return Promise.resolve({ ...PERMIT, decision: { kind: "reject", by, reply: refusal } });
  };
  return {
    newSession: () => ({
      atConnect: () => check(undefined),
      atHelo: (facts) => check(facts.helo),
      atMail: (facts) => check(facts.sender),
      atRcpt: (facts) => check(facts.recipient),
      atVrfy: (facts) => check(facts.recipient),
      atEtrn: (facts) => check(facts.etrnDomain),
      atData: (facts) => check(facts.sender?.startsWith("data-") ? `denied ${facts.sender}` : undefined),
      atEndOfData: (facts) => check(facts.sender?.startsWith("eod-") ? `denied ${facts.sizeBytes}` : undefined),
    }),
  };
}

const PROPERTIES = {
  plaintext: true,
  anonymous: false,
  active: false,
  dictionary: false,
  forwardSecrecy: false,
  mutualAuth: false,
};

/** PLAIN and LOGIN for alice/secret; the user "later" is a temporary failure. */
function tinySasl(): SaslBackend {
  const judge = (method: string, username: string, password: string): SaslStep => {
    if (username === "later") return { kind: "failure", temporary: true, reason: "no server", username };
    if (username === "alice" && password === "secret") return { kind: "success", identity: { method, username } };
    return { kind: "failure", temporary: false, reason: "wrong password", username };
  };
  const plain = async (response: Uint8Array | undefined): Promise<SaslStep> => {
    if (response === undefined) return { kind: "challenge", challenge: new Uint8Array() };
    const [, username = "", password = ""] = Buffer.from(response).toString().split("\0");
    return judge("PLAIN", username, password);
  };
  const login = () => {
    let username: string | undefined;
    return async (response: Uint8Array | undefined): Promise<SaslStep> => {
      if (response === undefined) return { kind: "challenge", challenge: Buffer.from("Username:") };
      if (username !== undefined) return judge("LOGIN", username, Buffer.from(response).toString());
      username = Buffer.from(response).toString();
      return { kind: "challenge", challenge: Buffer.from("Password:") };
    };
  };
  return {
    mechanisms: () => ["PLAIN", "LOGIN"].map((name) => ({ name, ...PROPERTIES })),
    start: (mechanism) => ({ next: mechanism === "LOGIN" ? login() : plain, close() {} }),
    close: async () => {},
  };
}

const PLAIN_RESOLVER: SmtpdOptions["resolver"] = {
  rewrite: (address) => address,
  classOf: () => "default",
  route: (recipient) => ({ transport: "smtp", nexthop: "", recipient }),
  unlistedIn: () => undefined,
  hasSenderRouting: () => false,
};

function testTls(): ServerTls {
  const read = (path: string) => ({ bytes: readFileSync(new URL(path, TESTDATA)) });
  const tls = createServerTls({
    chainFiles: ["chain.pem"],
    pairs: [],
    protocols: ">=TLSv1.2",
    grade: "medium",
    excludeCiphers: [],
    preferServerOrder: false,
    read,
  });
  if ("problem" in tls) throw new Error(tls.problem);
  return tls;
}

/** A list of clients that answers `yes`, no, or `unknown`. */
function listed(answer: string | undefined): boolean | undefined {
  return answer === "unknown" ? undefined : answer === "yes";
}

/** So many messages are held for everybody already, besides those being sent; `unknown`: nobody can be asked. */
function heldMailOf(already = "0"): HeldMail & { readonly reserved: number } {
  let reserved = 0;
  return {
    get reserved() {
      return reserved;
    },
    reserve: () => {
      let open = true;
      reserved++;
      return () => {
        if (open) reserved--;
        open = false;
      };
    },
    count: async () => {
      if (already === "unknown") throw new Error("worker 1 is away");
      return Number(already) + reserved;
    },
  };
}

/** Tables may be inline only. */
function tablesOf(log: Log): TableOpener {
  const read = (path: string): Uint8Array => {
    throw new TableError(`There is no ${path}`);
  };
  return createTableOpener({ files: { read }, log, configDirectory: "/" });
}

function footerOf(params: Parameters, log: Log) {
  return createRejectFooter(params, { tables: tablesOf(log), log, clock: systemClock });
}

/** Who may ask more of the queue than others, whether there is one, and who is told. */
function grantsOf(settings: Readonly<Record<string, string>>, params: Parameters, log: Log) {
  return {
    extensionClients: () => listed(settings.extensionclient),
    priorityLimit: createPriorityLimit(params, { tables: tablesOf(log), log }),
    heldMail: heldMailOf(settings.held),
    notices: noticesOf(settings, params, log),
    filter: createBeforeQueueFilter(params, { deadlines: new Deadlines(systemClock), directory: "/nonexistent" }),
  };
}

/** `maildrop` as a pseudo parameter is where transcripts for the postmaster go. */
function noticesOf({ maildrop }: Readonly<Record<string, string>>, params: Parameters, log: Log) {
  return maildrop === undefined ? undefined : createSessionNotices(params, { maildrop, clock: systemClock, log });
}

const flushSite: NonNullable<SmtpdOptions["flushSite"]> = async (domain) =>
  domain === "relay.example" ? "started" : domain === "failing.example" ? "failed" : "denied";

/** Starts a service under these parameters; `free` as a pseudo parameter is the free space. */
export async function startService(settings: Readonly<Record<string, string>>): Promise<Service> {
  const log: string[] = [];
  const messages: KeptMessage[] = [];
  const tls = testTls();
  let nextId = 1;
  const queueIds = new QueueIdAllocator({ nowMicros: systemClock.nowMicros, shard: 1, long: false, floorMicros: 0 });
  const logOf = (id: number) =>
    new Log({
      sink: ({ severity, text }) => log.push(severity === "info" ? text : `${severity}: ${text}`),
      now: Date.now,
      tag: "smtpd",
      id,
    });
  const params = parametersOf({ compatibility_level: "3.6", smtpd_tls_security_level: "may", ...settings });
  const grants = grantsOf(settings, params, logOf(0));
  const options: SmtpdOptions = {
    params,
    serviceName: "submission",
    role: settings.etrn || settings.mx ? "mx" : "submission",
    access: tabledPolicy(settings, { log: logOf(0), resolver: PLAIN_RESOLVER }) ?? tinyPolicy(),
    rejectFooter: footerOf(params, logOf(0)),
    discardedByAddress: createDiscardedByAddress(params, { tables: tablesOf(logOf(0)), log: logOf(0) }),
    sasl: settings.nosasl ? undefined : tinySasl(),
    announce: (backend) => backend.mechanisms(),
    cleanup: keepingCleanup(messages),
    nextQueueId: () => queueIds.next(),
    resolver: PLAIN_RESOLVER,
    dns: undefined,
    tls: settings.notls ? undefined : tls,
    freeBytes: () => Number(settings.free ?? 1e12),
    log: logOf,
    nextSessionId: () => nextId++,
    clock: systemClock,
    deadlines: new Deadlines(systemClock),
    bareNewlineExclusions: () => settings.excluded === "yes",
    xclientHosts: (client) => listed(settings.xclient) && client.address === "127.0.0.1",
    xforwardHosts: () => listed(settings.xforward),
    ...grants,
    saslExceptions: async () => listed(settings.saslexcepted),
    flushSite: settings.etrn ? flushSite : undefined,
    debugPeers: () => settings.debug === "yes",
  };
  const smtpd = createSmtpd(options);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => smtpd.accept(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The service did not get a port");
  return {
    port: address.port,
    smtpd,
    log,
    messages,
    reserved: () => grants.heldMail.reserved,
    async close() {
      await new Promise((resolve) => server.close(resolve));
      await smtpd.idle();
    },
  };
}
