/** smtp/testdata/fake-peer.ts: a scriptable SMTP server on loopback, the network edge of the client's tests. Without a
 *  script it takes everything; the script replaces single replies, drops the connection, or cuts replies into bytes. */
import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { TEST_CERT, TEST_KEY } from "./certificate.ts";

/** "drop" closes the connection; text is sent as it is, CRLF added; undefined: the usual reply. */
export type Answer = string | undefined;

export interface PeerScript {
  readonly greeting?: string;
  /** Lines of the EHLO reply besides the name. */
  readonly features?: readonly string[];
  /** Asked for each command, and with "." at the end of data. */
  readonly answer?: (command: string, connection: number) => Answer;
  /** Replies arrive one byte at a time. */
  readonly slow?: boolean;
  /** Closes without an answer to the handshake. */
  readonly brokenTls?: boolean;
  /** PEM with the key and chain to show instead of the self-signed one for "localhost". */
  readonly certificate?: Uint8Array;
  /** Listens on this UNIX-domain socket. */
  readonly path?: string;
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** Begins with TLS. */
  readonly wrapper?: boolean;
  readonly lmtp?: boolean;
  /** Closes after so many bytes of content. */
  readonly dropAfterBytes?: number;
}

export interface Seen {
  readonly connection: number;
  readonly command: string;
}

export class FakePeer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #context: SecureContext | undefined;
  readonly script: PeerScript;
  readonly seen: Seen[] = [];
  readonly messages: Buffer[] = [];
  /** What each finished handshake was: the name asked for, whether it was resumed, the client's certificate. */
  readonly handshakes: { readonly serverName: string; readonly resumed: boolean; readonly client: string }[] = [];
  connections = 0;

  private constructor(script: PeerScript) {
    this.script = script;
    this.#server = createServer((socket) => {
      socket.setNoDelay(true); // several short replies in a row would wait for delayed acknowledgements
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      new Conversation(this, socket, ++this.connections).start();
    });
  }

  static async start(script: PeerScript = {}): Promise<FakePeer> {
    const peer = new FakePeer(script);
    await new Promise<void>((resolve) => {
      if (script.path === undefined) peer.#server.listen(0, "127.0.0.1", resolve);
      else peer.#server.listen(script.path, resolve);
    });
    return peer;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("Not listening");
    return address.port;
  }

  /** One for all connections, so that sessions can be resumed. */
  contextOf(certificate: Uint8Array | undefined): SecureContext {
    const pem = certificate && Buffer.from(certificate);
    this.#context ??= createSecureContext({
      key: pem ?? TEST_KEY,
      cert: pem ?? TEST_CERT,
      sessionIdContext: "peer",
      ...(this.script.maxVersion && { maxVersion: this.script.maxVersion }),
    });
    return this.#context;
  }

  /** Commands of one connection, or of all. */
  commands(connection?: number): readonly string[] {
    return this.seen.filter((s) => connection === undefined || s.connection === connection).map((s) => s.command);
  }

  dropAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.dropAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Conversation {
  readonly #peer: FakePeer;
  readonly #number: number;
  #socket: Socket;
  #buffer = Buffer.alloc(0);
  #inData = false;
  /** Of a chunk (BDAT), how much is to come. */
  #chunkLeft = 0;
  #lastChunk = false;
  #chunks: Buffer[] = [];
  #recipients = 0;
  #content = 0;
  #out = Promise.resolve();

  constructor(peer: FakePeer, socket: Socket, number: number) {
    this.#peer = peer;
    this.#socket = socket;
    this.#number = number;
  }

  start(): void {
    if (this.#peer.script.wrapper) this.#secure();
    else this.#listen(this.#socket);
    if (this.#peer.script.greeting === "drop") this.#socket.destroy();
    else this.#send(this.#peer.script.greeting ?? "220 peer.test ESMTP");
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#work();
    });
  }

  #work(): void {
    for (;;) {
      if (this.#chunkLeft > 0 || this.#lastChunk) {
        if (!this.#takeChunk()) return;
        continue;
      }
      if (this.#inData) {
        this.#content = this.#buffer.length;
        const limit = this.#peer.script.dropAfterBytes;
        if (limit !== undefined && this.#content >= limit) {
          this.#socket.destroy();
          return;
        }
        const empty = this.#buffer.subarray(0, 3).toString() === ".\r\n";
        const end = empty ? 0 : this.#buffer.indexOf("\r\n.\r\n");
        if (end < 0) return;
        const stop = empty ? 0 : end + 2;
        this.#peer.messages.push(Buffer.from(this.#buffer.subarray(0, stop)));
        this.#buffer = this.#buffer.subarray(stop + 3);
        this.#inData = false;
        const times = this.#peer.script.lmtp ? this.#recipients : 1;
        for (let i = 0; i < times; i++) this.#reply(".", "250 2.0.0 Ok: queued as TEST");
        this.#recipients = 0;
        continue;
      }
      const end = this.#buffer.indexOf("\r\n");
      if (end < 0) return;
      const command = this.#buffer.subarray(0, end).toString();
      this.#buffer = this.#buffer.subarray(end + 2);
      if (!this.#command(command)) return;
    }
  }

  /** False: more of the chunk must come first. */
  #takeChunk(): boolean {
    const piece = this.#buffer.subarray(0, this.#chunkLeft);
    this.#buffer = this.#buffer.subarray(piece.length);
    this.#chunkLeft -= piece.length;
    this.#chunks.push(Buffer.from(piece));
    if (this.#chunkLeft > 0) return false;
    if (!this.#lastChunk) {
      this.#reply("chunk", "250 2.0.0 Ok");
      return true;
    }
    this.#lastChunk = false;
    this.#peer.messages.push(Buffer.concat(this.#chunks));
    this.#chunks = [];
    const times = this.#peer.script.lmtp ? this.#recipients : 1;
    for (let i = 0; i < times; i++) this.#reply(".", "250 2.0.0 Ok: queued as TEST");
    return true;
  }

  /** False when no further command may be read on this socket. */
  #command(command: string): boolean {
    this.#peer.seen.push({ connection: this.#number, command });
    const [verb = "", size, last] = command.toUpperCase().split(" ");
    if (verb === "BDAT") {
      this.#chunkLeft = Number(size);
      this.#lastChunk = last === "LAST";
      return true;
    }
    const sent = this.#reply(command, this.#usual(verb));
    if (verb === "RCPT" && sent.startsWith("2")) this.#recipients++;
    if (verb === "MAIL" || verb === "RSET") {
      this.#recipients = 0;
      this.#chunks = [];
    }
    if (verb === "DATA" && sent.startsWith("354")) this.#inData = true;
    if (verb === "STARTTLS" && sent.startsWith("220")) {
      this.#secure();
      return false;
    }
    if (verb === "QUIT") this.#socket.end();
    return sent !== "drop";
  }

  #usual(verb: string): string {
    if (verb === "EHLO" || verb === "LHLO") {
      const lines = ["peer.test", ...(this.#peer.script.features ?? ["PIPELINING", "8BITMIME", "SIZE 0"])];
      return lines.map((line, i) => `250${i === lines.length - 1 ? " " : "-"}${line}`).join("\r\n");
    }
    if (verb === "DATA") return "354 go ahead";
    if (verb === "STARTTLS") return "220 2.0.0 ready";
    if (verb === "AUTH") return "235 2.7.0 welcome";
    return verb === "QUIT" ? "221 2.0.0 bye" : "250 2.1.0 Ok";
  }

  #secure(): void {
    if (this.#peer.script.brokenTls) {
      this.#socket.removeAllListeners("data");
      this.#socket.once("data", () => this.#socket.destroy());
      return;
    }
    this.#socket.removeAllListeners("data");
    const { certificate } = this.#peer.script;
    const secure = new TLSSocket(this.#socket, {
      isServer: true,
      secureContext: this.#peer.contextOf(certificate),
      requestCert: true,
      rejectUnauthorized: false,
      SNICallback: (_name, done) => done(null, undefined),
    });
    secure.once("secure", () => {
      const { servername } = secure as { servername?: string | false };
      this.#peer.handshakes.push({
        serverName: servername || "",
        resumed: secure.isSessionReused(),
        client: secure.getPeerX509Certificate()?.subject ?? "",
      });
    });
    secure.on("error", () => secure.destroy());
    this.#socket = secure;
    this.#listen(secure);
  }

  #reply(command: string, usual: string): string {
    const text = this.#peer.script.answer?.(command, this.#number) ?? usual;
    if (text === "drop") void this.#out.then(() => this.#socket.destroy());
    else this.#send(text);
    return text;
  }

  #send(text: string): void {
    const bytes = Buffer.from(`${text}\r\n`);
    if (!this.#peer.script.slow) {
      this.#socket.write(bytes);
      return;
    }
    this.#out = this.#out.then(async () => {
      for (const byte of bytes) {
        this.#socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
  }
}
