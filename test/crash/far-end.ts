/** test/crash/far-end.ts: the next hop of the crash tests. Enters every copy in the ledger before it acknowledges it, and
 *  compares it with what was sent. What it says is in the recipient: `refuse.…` is refused for good; until open() is
 *  called, `late.…` and `turn.…` are refused for now, and `stall.…` gets no answer; then `turn.…` is refused for good. All
 *  others are taken. */
import net from "node:net";
import type { Ledger } from "./ledger.ts";

const LINE = "Nothing that was promised may be lost, however often the power goes.";

/** The body of a message: every line tells its id and its number, the last one that it is the last. */
export function bodyOf(id: string, sizeBytes: number): string {
  const lines: string[] = [];
  for (let size = 0, n = 0; size < sizeBytes; n++) {
    const line = `${id} ${n} ${LINE}`;
    lines.push(line);
    size += line.length + 2;
  }
  return [...lines, `end of ${id}`].join("\r\n");
}

export class FarEnd {
  readonly #server: net.Server;
  readonly #ledger: Ledger;
  readonly #sockets = new Set<net.Socket>();
  /** Bodies by id; an id that is not in here belongs to a point that was judged. */
  readonly #sent = new Map<string, string>();
  #open = false;
  /** Recipients that were not taken yet. */
  readonly #putOff = new Set<string>();

  private constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#server = net.createServer((socket) => this.#serve(socket));
  }

  static async start(ledger: Ledger): Promise<FarEnd> {
    const farEnd = new FarEnd(ledger);
    await new Promise<void>((resolve) => farEnd.#server.listen(0, "127.0.0.1", resolve));
    return farEnd;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  expect(id: string, body: string): void {
    this.#sent.set(id, body);
  }

  /** What was put off is decided from now on, or put off again. */
  open(isOpen: boolean): void {
    this.#open = isOpen;
  }

  hasPutOff(recipient: string): boolean {
    return this.#putOff.has(recipient);
  }

  forget(): void {
    this.#sent.clear();
    this.#putOff.clear();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #serve(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => this.#sockets.delete(socket));
    const session = { recipients: [] as string[], content: undefined as string[] | undefined };
    socket.write("220 far-end.example ESMTP\r\n");
    let pending = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      const lines = (pending + chunk).split("\r\n");
      pending = lines.pop() ?? "";
      for (const line of lines) {
        const reply = session.content ? this.#content(session, line) : this.#command(session, line);
        if (reply !== undefined) socket.write(`${reply}\r\n`);
        if (line === "QUIT" && !session.content) socket.end();
      }
    });
  }

  #command(session: { recipients: string[]; content: string[] | undefined }, line: string): string | undefined {
    const recipient = /^RCPT TO:<([^>]*)>/.exec(line)?.[1];
    if (recipient !== undefined) {
      const what = recipient.split(".", 1)[0] ?? "";
      if (what === "refuse" || (what === "turn" && this.#open)) return "550 5.1.1 No such user here";
      if (["late", "turn", "stall"].includes(what) && !this.#open) {
        this.#putOff.add(recipient);
        return what === "stall" ? undefined : "451 4.2.0 Not now";
      }
      session.recipients.push(recipient);
      return "250 2.1.5 Ok";
    }
    if (line.startsWith("MAIL")) session.recipients = [];
    if (line.startsWith("EHLO")) return "250-far-end.example\r\n250 PIPELINING";
    if (line !== "DATA") return "250 2.0.0 Ok";
    if (session.recipients.length === 0) return "554 5.5.1 No valid recipients";
    session.content = [];
    return "354 Go on";
  }

  #content(session: { recipients: string[]; content: string[] | undefined }, line: string): string | undefined {
    if (line !== ".") {
      session.content?.push(line.startsWith(".") ? line.slice(1) : line);
      return undefined;
    }
    const content = (session.content ?? []).join("\r\n");
    session.content = undefined;
    const id = /^X-Load-Id: (\S+)/m.exec(content)?.[1] ?? "?";
    for (const recipient of session.recipients) {
      this.#ledger.arrived({
        id,
        recipient,
        torn: recipient.startsWith("sender.") ? undefined : this.torn(id, content),
      });
    }
    return "250 2.0.0 Ok: kept";
  }

  /** Why a message's content is not what was sent; undefined if it is. */
  torn(id: string, content: string): string | undefined {
    const sent = this.#sent.get(id);
    const body = content.slice(content.indexOf("\r\n\r\n") + 4);
    if (sent === undefined) return "nobody sent it";
    return body === sent ? undefined : `${body.length} bytes came, ${sent.length} were sent`;
  }
}
