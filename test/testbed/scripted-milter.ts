/** test/testbed/scripted-milter.ts: a Milter that does what it is told: answers per command, changes at the end, delays, bytes one at a
 *  time. Written from the protocol, with none of the server's own code. */
import net from "node:net";

export interface MilterScript {
  /** Protocol steps that it does without. */
  readonly steps?: number;
  readonly actions?: number;
  /** Macros it asks for, by stage number. */
  readonly macros?: Readonly<Record<number, string>>;
  /** Reply to a command letter (C H M R T L N B E U): letter and data; undefined: continue. "" hangs up, "-" says nothing. */
  readonly answer?: (command: string, data: Buffer) => string | Buffer | readonly (string | Buffer)[] | undefined;
  /** Sends each byte in a packet of its own. */
  readonly bytewise?: boolean;
}

export interface ScriptedMilter {
  readonly port: number;
  /** "M sender@x.test SIZE=5", with NULs as blanks; macros as "DM i=…". */
  readonly events: string[];
  close(): Promise<void>;
}

export function startMilter(script: MilterScript = {}): Promise<ScriptedMilter> {
  const events: string[] = [];
  const open = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => open.delete(socket));
    serve(socket, script, events);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({
        port: (server.address() as net.AddressInfo).port,
        events,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of open) socket.destroy();
          }),
      });
    });
  });
}

/** A packet of the protocol. */
export function packet(text: string | Buffer): Buffer {
  const data = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}

/** Letter, a number of four octets, texts with NULs. */
export function numbered(letter: string, number: number, ...texts: readonly string[]): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32BE(number);
  return Buffer.concat([Buffer.from(letter), word, Buffer.from(texts.map((text) => `${text}\0`).join(""))]);
}

function serve(socket: net.Socket, script: MilterScript, events: string[]): void {
  let pending = Buffer.alloc(0);
  const send = (text: string | Buffer) => {
    const bytes = packet(text);
    if (!script.bytewise) socket.write(bytes);
    else for (const byte of bytes) socket.write(Buffer.from([byte]));
  };
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 5 && pending.length >= 4 + pending.readUInt32BE(0)) {
      const length = pending.readUInt32BE(0);
      take(String.fromCharCode(pending[4] as number), pending.subarray(5, 4 + length));
      pending = pending.subarray(4 + length);
    }
  });
  const take = (command: string, data: Buffer) => {
    if (command === "O") {
      const lists = Object.entries(script.macros ?? {}).map(([stage, names]) => numbered("", Number(stage), names));
      const words = Buffer.alloc(12);
      for (const [i, word] of [6, script.actions ?? 0x1ff, script.steps ?? 0].entries())
        words.writeUInt32BE(word, i * 4);
      send(Buffer.concat([Buffer.from("O"), words, ...lists]));
      return;
    }
    events.push(`${command} ${shown(command, data)}`.trimEnd());
    if (command === "D" || command === "A" || command === "Q") return;
    const answer = script.answer?.(command, data) ?? "c";
    if (answer === "") socket.destroy();
    else if (answer !== "-") for (const one of Array.isArray(answer) ? answer : [answer]) send(one);
  };
}

function shown(command: string, data: Buffer): string {
  if (command === "C") return data.toString("latin1").replace(/\0(.)[\s\S]{2}(.*)\0$/, " $1 $2");
  if (command !== "D") return data.toString("latin1").split("\0").filter(Boolean).join(" ");
  const [first = "", ...rest] = data.toString("latin1").split("\0");
  const words = [first.slice(1), ...rest];
  const pairs = words.flatMap((name, i) => (i % 2 === 0 && name !== "" ? [`${name}=${words[i + 1]}`] : []));
  return `${first.charAt(0)} ${pairs.join(" ")}`;
}
