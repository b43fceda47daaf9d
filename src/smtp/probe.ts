/** smtp/probe.ts: asks a server at RCPT whether it would take a message, and leaves without one: EHLO, STARTTLS or TLS from
 *  the start, AUTH PLAIN, MAIL, RCPT, RSET, QUIT. Never DATA. For `postern verify --live`. */
import type { Deadlines } from "../base/deadlines.ts";
import { ClientConnection, ConnectionError } from "../net/client-connection.ts";
import { type PeerReply, readReply } from "./reply.ts";

export interface ProbeOptions {
  readonly address: string;
  readonly port: number;
  /** undefined: as the system chooses. */
  readonly localAddress: string | undefined;
  readonly tls: "none" | "starttls" | "wrapper";
  readonly helo: string;
  readonly login: { readonly username: string; readonly password: string } | undefined;
  readonly sender: string;
  readonly recipient: string;
  readonly deadlines: Deadlines;
}

export interface ProbeResult {
  /** "failed": nothing was decided; `why` says what went wrong. */
  readonly outcome: "accepted" | "refused" | "failed";
  /** The command that was refused: "CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT". */
  readonly at: string;
  readonly why: string;
  /** Lines as in RFC examples, `C: …` and `S: …`; passwords are not among them. */
  readonly dialogue: readonly string[];
}

/** For each reply. */
const TIMEOUT_MS = 30_000;

/** Never rejects for anything the server does. */
export async function probe(options: ProbeOptions): Promise<ProbeResult> {
  const dialogue: string[] = [];
  let connection: ClientConnection | undefined;
  try {
    const { address, port, localAddress, deadlines } = options;
    connection = await ClientConnection.open({
      peer: { address, port },
      deadlines,
      timeoutMs: TIMEOUT_MS,
      localAddress,
    });
    return { ...(await new Probe(connection, options, dialogue).run()), dialogue };
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return { outcome: "failed", at: "", why: error.message, dialogue };
  } finally {
    connection?.destroy();
  }
}

type Ended = Omit<ProbeResult, "dialogue">;

/** One dialogue. `dialogue` grows as it goes on, so that it is there when the connection is lost. */
class Probe {
  readonly #connection: ClientConnection;
  readonly #options: ProbeOptions;
  readonly #dialogue: string[];

  constructor(connection: ClientConnection, options: ProbeOptions, dialogue: string[]) {
    this.#connection = connection;
    this.#options = options;
    this.#dialogue = dialogue;
  }

  async run(): Promise<Ended> {
    const { tls, helo, sender, recipient } = this.#options;
    if (tls === "wrapper") await this.#handshake();
    const greeting = await this.#reply();
    if (greeting.code >= 400) return refused("CONNECT", greeting);
    const steps: readonly (readonly [string, () => Promise<PeerReply>])[] = [
      ["EHLO", () => this.#say(`EHLO ${helo}`)],
      ...(tls === "starttls" ? this.#startTls() : []),
      ...(this.#options.login === undefined ? [] : [["AUTH", () => this.#authenticate()] as const]),
      ["MAIL", () => this.#say(`MAIL FROM:<${sender}>`)],
      ["RCPT", () => this.#say(`RCPT TO:<${recipient}>`)],
    ];
    for (const [at, step] of steps) {
      const reply = await step();
      if (reply.code < 400) continue;
      await this.#leave();
      return refused(at, reply);
    }
    await this.#say("RSET");
    await this.#leave();
    return { outcome: "accepted", at: "RCPT", why: "" };
  }

  #startTls(): readonly (readonly [string, () => Promise<PeerReply>])[] {
    const start = async () => {
      const reply = await this.#say("STARTTLS");
      if (reply.code === 220) await this.#handshake();
      return reply;
    };
    return [
      ["STARTTLS", start],
      ["EHLO", () => this.#say(`EHLO ${this.#options.helo}`)],
    ];
  }

  /** The certificate does not matter: nothing is sent that would have to be kept from this server. */
  async #handshake(): Promise<void> {
    const { helo } = this.#options;
    const { session } = await this.#connection.startTls({ serverName: helo, timeoutMs: TIMEOUT_MS });
    this.#dialogue.push(`   (${session.protocol})`);
  }

  async #authenticate(): Promise<PeerReply> {
    const { username, password } = this.#options.login ?? { username: "", password: "" };
    const response = Buffer.from(`\0${username}\0${password}`).toString("base64");
    this.#dialogue.push("C: AUTH PLAIN (not shown)");
    await this.#connection.write(`AUTH PLAIN ${response}\r\n`, TIMEOUT_MS);
    return this.#reply();
  }

  async #leave(): Promise<void> {
    try {
      await this.#say("QUIT");
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error; // it has said what it had to say
    }
  }

  async #say(line: string): Promise<PeerReply> {
    this.#dialogue.push(`C: ${line}`);
    await this.#connection.write(`${line}\r\n`, TIMEOUT_MS);
    return this.#reply();
  }

  async #reply(): Promise<PeerReply> {
    const reply = await readReply(this.#connection, TIMEOUT_MS);
    const last = reply.lines.length - 1;
    for (const [i, line] of reply.lines.entries()) {
      this.#dialogue.push(`S: ${reply.code}${i === last ? " " : "-"}${line}`.trimEnd());
    }
    return reply;
  }
}

function refused(at: string, { text }: PeerReply): Ended {
  return { outcome: "refused", at, why: text };
}
