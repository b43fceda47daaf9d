/** tables/ldap-link.ts: one connection to one LDAP server (RFC 4511): connect, TLS or StartTLS, bind, then one search at a
 *  time. The driver ldapts codes requests and decodes answers; sockets, TLS, deadlines and the shape of what comes in are
 *  ours. Each link has a driver of its own, so nothing outlives a failure, and nothing said before StartTLS is believed
 *  after it. */
import { Duplex } from "node:stream";
import type { Client, ClientOptions, Entry } from "ldapts";
import type { Clock } from "../base/clock.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type ByteSocket, openByteSocket } from "../net/byte-socket.ts";
import { LdapFrames } from "./ldap-frames.ts";
import type { LdapAccess } from "./ldap-settings.ts";
import type { LdapScope, LdapServer } from "./ldap-url.ts";
import { PeerError } from "./peer-pool.ts";

export interface LdapRequest {
  readonly base: string;
  readonly scope: LdapScope;
  readonly filter: string;
  readonly attributes: readonly string[];
}

/** Attributes that have values, in the server's order. */
export interface LdapEntry {
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[];
}

const START_TLS = "1.3.6.1.4.1.1466.20037";
const ANSWER_LIMIT_BYTES = 8 * 1024 * 1024;
const SEND_LIMIT_BYTES = 1024 * 1024;
const SIZE_LIMIT_EXCEEDED = 4;
const NO_SUCH_OBJECT = 32;

export class LdapLink {
  readonly #access: LdapAccess;
  readonly #server: LdapServer;
  readonly #clock: Clock;
  readonly #socket: ByteSocket;
  readonly #frames = new LdapFrames(ANSWER_LIMIT_BYTES);
  #stream: Duplex | undefined;
  #client: Client | undefined;
  #end: PeerError | undefined;
  #connected = false;
  /** Of the step under way. */
  #opened: (() => void) | undefined;
  #reject: ((why: PeerError) => void) | undefined;

  /** Begins to connect. */
  constructor(access: LdapAccess, server: LdapServer, clock: Clock) {
    this.#access = access;
    this.#server = server;
    this.#clock = clock;
    this.#socket = openByteSocket({
      target: server.target,
      sendLimitBytes: SEND_LIMIT_BYTES,
      onOpen: () => this.#opened?.(),
      onBytes: (chunk) => this.#receive(chunk),
      onClose: (reason) => this.#fail(new PeerError(this.#connected ? "lost" : "connect", reason)),
    });
  }

  get usable(): boolean {
    return this.#end === undefined;
  }

  /** Resolves when searches are possible. Rejects PeerError. */
  async establish(): Promise<void> {
    const { bind, startTls } = this.#access;
    await this.#step("connect", () => this.#whenOpen());
    if (this.#server.tls) await this.#secure();
    if (startTls) {
      const plain = await this.#newClient();
      await this.#step("StartTLS", () => plain.exop(START_TLS));
      await this.#secure();
    }
    const client = await this.#newClient();
    if (bind) await this.#step(`bind with dn ${bind.dn || "empty"}`, () => client.bind(bind.dn, bind.password));
    this.#client = client;
    this.#connected = true;
  }

  /** Rejects PeerError. */
  async search(request: LdapRequest): Promise<readonly LdapEntry[] | "noSuchObject"> {
    const { sizeLimit, dereference, timeoutMs } = this.#access;
    const client = this.#client;
    if (!client) throw this.#end ?? new PeerError("closed", "not connected");
    this.#frames.begin();
    const found = await this.#step("search", () =>
      client
        .search(request.base, {
          scope: request.scope,
          filter: request.filter,
          attributes: [...request.attributes],
          derefAliases: dereference,
          sizeLimit,
          timeLimit: Math.ceil(timeoutMs / 1000),
        })
        .catch(asNoSuchObject),
    );
    if (found === "noSuchObject") return found;
    // The driver hides a cut answer if a limit was set.
    if (this.#frames.doneCode === SIZE_LIMIT_EXCEEDED || (sizeLimit > 0 && found.searchEntries.length > sizeLimit)) {
      throw new PeerError("refused", `Query size limit (${sizeLimit}) exceeded`);
    }
    return found.searchEntries.map(readEntry);
  }

  close(): void {
    this.#fail(new PeerError("closed", "the connection was closed"));
  }

  #whenOpen(): Promise<void> {
    return new Promise((resolve) => {
      this.#opened = resolve;
    });
  }

  async #secure(): Promise<void> {
    if (!this.#frames.empty) this.#fail(new PeerError("malformed", "the server sends in clear text after StartTLS"));
    this.#stream?.destroy();
    this.#stream = undefined;
    await this.#step("TLS", () => {
      const open = this.#whenOpen();
      this.#socket.startTls({ serverName: this.#server.host, ...this.#access.tls });
      return open;
    });
  }

  async #newClient(): Promise<Client> {
    const { Client: Driver } = await loadDriver();
    const stream = Object.assign(new Duplex(this.#duplexOptions()), { connecting: false, readyState: "open" });
    // The driver stops listening now and then, and an error event that nobody hears ends the process. #fail() has said why.
    stream.on("error", () => undefined);
    this.#stream = stream;
    let given = false;
    const createConnection = () => {
      if (given || this.#end) throw new Error("connection closed");
      given = true;
      return stream;
    };
    return new Driver({
      url: "ldap://localhost",
      // The driver needs of a socket what a Duplex has, and the two members above.
      createConnection: createConnection as unknown as NonNullable<ClientOptions["createConnection"]>,
    });
  }

  #duplexOptions() {
    return {
      read: () => undefined,
      write: (chunk: Buffer, _: unknown, done: () => void) => {
        this.#socket.send(chunk);
        done();
      },
    };
  }

  /** One exchange, within the timeout. Whatever ends the connection rejects it. */
  #step<T>(what: string, run: () => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#access;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#fail(new PeerError("timeout", `${what}: no answer within ${timeoutMs / 1000} seconds`));
      });
      this.#reject = (why) => {
        timer.cancel();
        this.#reject = undefined;
        reject(why);
      };
      if (this.#end) this.#reject(this.#end);
      else {
        run().then(
          (value) => {
            timer.cancel();
            this.#reject = undefined;
            resolve(value);
          },
          (error: unknown) => this.#reject?.(this.#end ?? refusal(what, error)),
        );
      }
    });
  }

  #receive(chunk: Buffer): void {
    const messages = this.#frames.push(chunk);
    if ("problem" in messages) this.#fail(new PeerError("malformed", messages.problem));
    else if (!this.#stream) this.#fail(new PeerError("malformed", "the server sends without being asked"));
    else for (const message of messages) this.#stream.push(message);
  }

  #fail(why: PeerError): void {
    if (this.#end) return;
    this.#end = why;
    this.#socket.close();
    this.#stream?.destroy();
    this.#reject?.(why);
  }
}

function asNoSuchObject(error: unknown): "noSuchObject" {
  if (codeOf(error) === NO_SUCH_OBJECT) return "noSuchObject";
  throw error;
}

/** The server's result code; other errors have none, or a name as code. */
function codeOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}

/** The driver's error without its type; the server's words are part of it. */
function refusal(what: string, error: unknown): PeerError {
  const text = error instanceof Error ? error.message.replace(/ Code: 0x[0-9a-f]+$/, "") : String(error);
  const code = codeOf(error);
  const shown = printableUtf8(text).slice(0, 300);
  return new PeerError("refused", `${what} error${code === undefined ? "" : ` ${code}`}: ${shown}`, { cause: error });
}

/** Values that are no UTF-8 come as bytes. */
function readEntry(entry: Entry): LdapEntry {
  const attributes = Object.entries(entry)
    .filter(([name]) => name !== "dn")
    .map(([name, value]) => ({
      name,
      values: (Array.isArray(value) ? value : [value]).map((item) =>
        typeof item === "string" ? item : item.toString(),
      ),
    }));
  return { attributes: attributes.filter(({ values }) => values.length > 0) };
}

/** An optional dependency: whoever has no ldap: table need not have it. */
async function loadDriver(): Promise<typeof import("ldapts")> {
  try {
    return await import("ldapts");
  } catch (cause) {
    throw new PeerError("refused", DRIVER_MISSING, { cause });
  }
}

const DRIVER_MISSING = "the LDAP driver is not installed: npm install ldapts@9";

/** What is wrong if there is no driver, without loading it. */
export function driverProblem(): string | undefined {
  try {
    import.meta.resolve("ldapts");
    return undefined;
  } catch {
    return DRIVER_MISSING; // the only reason for which resolving a bare name throws
  }
}
