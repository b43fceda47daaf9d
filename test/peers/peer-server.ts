/** test/peers/peer-server.ts: a server on loopback that behaves well except where its rules say otherwise.
 *
 *  Stages: connect, greeting, each verb (EHLO, HELO, LHLO, STARTTLS, AUTH, XFORWARD, MAIL, RCPT, DATA, RSET, QUIT), RESPONSE
 *  (a line of a SASL exchange), DOT (the end of data; in LMTP once for each accepted recipient), BODY (its number is that of
 *  content bytes after which it happens), HELLOTLS (the EHLO behind STARTTLS). Actions, several separated by ` ; `:
 *
 *    550 5.1.1 nobody   any text: sent as a line; \r\n and other escapes as in peer-file.ts; "250-x\r\n250 y" is two lines
 *    usual              what a good server says here
 *    silent             no reply, go on reading          stall    no reply, never again
 *    deaf               stop reading                     drop     close       reset   close with a reset
 *    bytes TEXT         the line, byte by byte           part TEXT   without a line end
 *    trickle TEXT       a byte each 250 ms               repeat N TEXT   the line N times
 *    flood N            N bytes without a line end
 *    sip                from here on wait 20 ms after each chunk that is read
 *    tls                TLS handshake as the server      nontls TEXT  reads the ClientHello, answers with text, closes
 *    refuse             (connect) nothing listens there */
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import { TEST_CERT, TEST_KEY } from "../../src/smtp/testdata/certificate.ts";
import { type Peer, type Rule, unescapeText } from "./peer-file.ts";

const SIP_MS = 20;

/** What one server has seen and said. */
export interface Account {
  /** Host numbers in the order of their connections. */
  readonly connections: number[];
  readonly commands: string[];
  readonly contents: string[];
  /** Recipients whose content was acknowledged with 2xx, once for each time. */
  readonly acknowledged: string[];
}

export function newAccount(): Account {
  return { connections: [], commands: [], contents: [], acknowledged: [] };
}

export class PeerServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly host: number;
  readonly peer: Peer;
  readonly account: Account;
  #sessions = 0;

  constructor(host: number, peer: Peer, account: Account) {
    this.host = host;
    this.peer = peer;
    this.account = account;
    this.#server = createServer((socket) => {
      this.account.connections.push(host);
      this.#sockets.add(socket);
      socket.setNoDelay(true).on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      void new Conversation(socket, ++this.#sessions, this).start();
    });
  }

  /** Resolves to the port. One that refuses connections listens for a moment, so that the port is free. */
  async start(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, `127.0.0.${this.host}`, resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("Not listening");
    if (this.rule("connect", 1, 1)?.actions[0] === "refuse") await this.stop();
    return address.port;
  }

  rule(stage: string, nth: number, session: number): Rule | undefined {
    const fits = (rule: Rule) =>
      rule.host === this.host &&
      rule.stage === stage &&
      (rule.nth ?? nth) === nth &&
      (rule.session ?? session) === session;
    return this.peer.rules.find((rule) => fits(rule) && rule.session !== undefined) ?? this.peer.rules.find(fits);
  }

  /** Resolves when all connections are closed, at the latest after `limitMs`. */
  async quiet(limitMs: number): Promise<void> {
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.resume().once("close", resolve)));
    const limit = new AbortController();
    await Promise.race([
      Promise.all(closed),
      sleep(limitMs, undefined, { signal: limit.signal }).catch(() => undefined),
    ]);
    limit.abort();
  }

  get open(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Conversation {
  readonly #server: PeerServer;
  readonly #session: number;
  readonly #counts = new Map<string, number>();
  #socket: Socket;
  readonly #raw: Socket;
  #input = Buffer.alloc(0);
  #wake: () => void = () => {};
  #ended = false;
  #mail = false;
  #recipients: string[] = [];
  #lastReply = "";
  /** What was said before the content had ended. */
  #early = "";
  #secured = false;

  constructor(socket: Socket, session: number, server: PeerServer) {
    this.#socket = this.#raw = socket;
    this.#session = session;
    this.#server = server;
    this.#listen(socket);
  }

  async start(): Promise<void> {
    const wrapped = this.#server.rule("connect", 1, this.#session);
    if (wrapped && !(await this.#act("connect", wrapped.actions))) return;
    if (!(await this.#stage("greeting"))) return;
    for (;;) {
      const line = await this.#line();
      if (line === undefined) return;
      if (!(await this.#command(line))) return;
    }
  }

  /** False when nothing further is to be read. */
  async #command(line: string): Promise<boolean> {
    this.#server.account.commands.push(line);
    const challenged = this.#lastReply.startsWith("334");
    const verb = challenged ? "RESPONSE" : (line.split(" ")[0] ?? "").toUpperCase();
    const hello = this.#secured && verb === "EHLO" && this.#server.rule("HELLOTLS", 1, this.#session) !== undefined;
    if (!(await this.#stage(hello ? "HELLOTLS" : verb))) return false;
    const positive =
      /(?:^|\n)2\d\d[^-][^\n]*$/.test(this.#lastReply.trimEnd()) || /^2\d\d$/.test(this.#lastReply.trimEnd());
    if (verb === "MAIL" || verb === "RSET") this.#recipients = [];
    if (verb === "MAIL") this.#mail = positive;
    if (verb === "RCPT" && positive) this.#recipients.push((/<(.*)>/.exec(line)?.[1] ?? "").replaceAll('"', ""));
    if (verb === "DATA" && this.#lastReply.startsWith("3")) return this.#content();
    if (verb === "QUIT") this.#socket.end();
    return verb !== "QUIT";
  }

  async #content(): Promise<boolean> {
    const early = this.#server.peer.rules.find((r) => r.host === this.#server.host && r.stage === "BODY");
    let done = false;
    for (;;) {
      if (!done && early?.nth !== undefined && this.#input.length >= early.nth) {
        done = true;
        if (!(await this.#act("BODY", early.actions))) return false;
        this.#early = this.#lastReply;
      }
      const empty = this.#input.subarray(0, 3).toString() === ".\r\n";
      const end = empty ? -2 : this.#input.indexOf("\r\n.\r\n");
      if (empty || end >= 0) return this.#contentEnd(end + 2);
      if (!(await this.#more())) return false;
    }
  }

  async #contentEnd(length: number): Promise<boolean> {
    const { account, peer } = this.#server;
    account.contents.push(this.#input.subarray(0, length).toString("latin1"));
    this.#input = this.#input.subarray(length + 3);
    const recipients = length === 0 ? [] : this.#recipients;
    this.#recipients = [];
    this.#mail = false;
    // An empty message, without recipients, gets one reply as well.
    const times = peer.protocol === "lmtp" && length > 0 ? recipients.map((one) => [one]) : [recipients];
    for (const covered of times) {
      this.#lastReply = "";
      const going = await this.#stage("DOT");
      const said = this.#early + this.#lastReply;
      if (/(?:^|\n)2\d\d(?: [^\n]*)?\r\n$/.test(said)) account.acknowledged.push(...covered);
      if (!going) return false;
    }
    return true;
  }

  async #stage(stage: string): Promise<boolean> {
    const nth = (this.#counts.get(stage) ?? 0) + 1;
    this.#counts.set(stage, nth);
    const rule = this.#server.rule(stage, nth, this.#session);
    return this.#act(stage, rule?.actions ?? ["usual"]);
  }

  async #act(stage: string, actions: readonly string[]): Promise<boolean> {
    this.#lastReply = "";
    for (const action of actions) {
      if (!(await this.#one(stage, action))) return false;
    }
    return true;
  }

  async #one(stage: string, action: string): Promise<boolean> {
    const [word = "", rest = ""] = /^(\S+)(?: (.*))?$/s.exec(action)?.slice(1) ?? [];
    switch (word) {
      case "usual":
        return this.#say(`${this.#usual(stage)}\r\n`);
      case "silent":
        // The envelope is taken all the same; an end of data is not acknowledged so.
        if (stage === "MAIL" || stage === "RCPT") this.#lastReply = this.#usual(stage);
        return true;
      case "stall":
        return false;
      case "deaf":
        this.#socket.pause();
        return false;
      case "drop":
        this.#socket.end();
        return false;
      case "reset":
        this.#raw.resetAndDestroy();
        return false;
      case "sip":
        this.#sip();
        return true;
      case "tls":
        return this.#secure();
      case "nontls":
        await this.#more();
        this.#socket.end(`${unescapeText(rest)}\r\n`);
        return false;
      default:
        return this.#text(word, rest, action);
    }
  }

  /** Each chunk is followed by a pause. */
  #sip(): void {
    const socket = this.#socket;
    socket.on("data", () => {
      socket.pause();
      setTimeout(() => socket.resume(), SIP_MS);
    });
  }

  async #text(word: string, rest: string, action: string): Promise<boolean> {
    const line = `${unescapeText(rest)}\r\n`;
    if (word === "part") return this.#say(unescapeText(rest));
    if (word === "bytes") return this.#slowly(line, 0);
    if (word === "trickle") return this.#slowly(line, 250);
    if (word === "flood") return this.#say("x".repeat(Number(rest)));
    if (word !== "repeat") return this.#say(`${unescapeText(action)}\r\n`);
    const [, times, text = ""] = /^(\d+) (.*)$/s.exec(rest) ?? [];
    return this.#say(`${unescapeText(text)}\r\n`.repeat(Number(times)));
  }

  #say(text: string): boolean {
    this.#lastReply = text;
    if (!this.#socket.destroyed) this.#socket.write(text, "latin1");
    return true;
  }

  async #slowly(text: string, pauseMs: number): Promise<boolean> {
    this.#lastReply = text;
    for (const byte of Buffer.from(text, "latin1")) {
      if (this.#socket.destroyed) return false;
      this.#socket.write(Buffer.from([byte]));
      if (pauseMs > 0) await sleep(pauseMs);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    return true;
  }

  #usual(stage: string): string {
    if (stage === "greeting") return "220 peer.test ESMTP";
    if (stage === "EHLO" || stage === "LHLO" || stage === "HELLOTLS") {
      const lines = ["peer.test", ...this.#server.peer.features];
      return lines.map((line, i) => `250${i === lines.length - 1 ? " " : "-"}${line}`).join("\r\n");
    }
    if (stage === "RCPT" && !this.#mail) return "503 5.5.1 need MAIL";
    if (stage === "DATA") return this.#recipients.length > 0 ? "354 go ahead" : "554 5.5.1 no valid recipients";
    if (stage === "STARTTLS") return "220 2.0.0 ready";
    if (stage === "AUTH" || stage === "RESPONSE") return "235 2.7.0 welcome";
    if (stage === "DOT") return `250 2.0.0 Ok: queued as H${this.#server.host}`;
    return stage === "QUIT" ? "221 2.0.0 bye" : "250 2.1.0 Ok";
  }

  async #secure(): Promise<boolean> {
    this.#socket.removeAllListeners("data");
    const secure = new TLSSocket(this.#socket, { isServer: true, key: TEST_KEY, cert: TEST_CERT });
    this.#socket = secure;
    this.#secured = true;
    this.#input = Buffer.alloc(0);
    this.#listen(secure);
    await new Promise<void>((resolve) => secure.once("secure", resolve).once("close", resolve));
    return !secure.destroyed;
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => {
      this.#input = Buffer.concat([this.#input, chunk]);
      this.#wake();
    });
    socket.on("error", () => socket.destroy());
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end).on("close", end);
  }

  async #line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#input.indexOf("\r\n");
      if (end >= 0) {
        const line = this.#input.subarray(0, end).toString("utf8");
        this.#input = this.#input.subarray(end + 2);
        return line;
      }
      if (!(await this.#more())) return undefined;
    }
  }

  /** False at the end of the input. */
  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    const before = this.#input.length;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return this.#input.length > before || !this.#ended;
  }
}
