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
  /** Sends a pause behind so many bytes of what it says to one command. Asked each time. */
  readonly splitAt?: () => number | undefined;
  /** The protocol version that it claims; 6. */
  readonly version?: number;
  /** In the place of its words to the offer: packets, or nothing before it hangs up. */
  readonly negotiation?: readonly (string | Buffer)[];
}

export interface ScriptedMilter {
  readonly port: number;
  /** "M sender@x.test SIZE=5", with NULs as blanks; macros as "DM i=…". */
  readonly events: string[];
  /** The same to the byte: the letter and the data of each packet but the offer, as latin1. */
  readonly packets: string[];
  /** What was offered: version, actions, steps, in hexadecimal. */
  readonly offers: string[];
  /** Connections that are open now. */
  connections(): number;
  close(): Promise<void>;
}

export function startMilter(script: MilterScript = {}): Promise<ScriptedMilter> {
  const events: string[] = [];
  const packets: string[] = [];
  const offers: string[] = [];
  const open = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => open.delete(socket));
    serve(socket, script, { events, packets, offers });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({
        port: (server.address() as net.AddressInfo).port,
        ...{ events, packets, offers },
        connections: () => open.size,
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

function serve(
  socket: net.Socket,
  script: MilterScript,
  { events, packets, offers }: Pick<ScriptedMilter, "events" | "packets" | "offers">,
): void {
  let pending = Buffer.alloc(0);
  const send = (texts: readonly (string | Buffer)[]) => {
    const bytes = Buffer.concat(texts.map((text) => packet(text)));
    const split = script.splitAt?.();
    if (split !== undefined) {
      socket.write(bytes.subarray(0, split));
      // Behind two turns of the event loop the other side has read what came before.
      setImmediate(() => setImmediate(() => socket.write(bytes.subarray(split))));
    } else if (!script.bytewise) socket.write(bytes);
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
      offers.push([0, 4, 8].map((at) => data.readUInt32BE(at).toString(16)).join(" "));
      for (const [i, word] of [script.version ?? 6, script.actions ?? 0x1ff, script.steps ?? 0].entries())
        words.writeUInt32BE(word, i * 4);
      send(script.negotiation ?? [Buffer.concat([Buffer.from("O"), words, ...lists])]);
      if (script.negotiation?.length === 0) socket.destroy();
      return;
    }
    packets.push(command + data.toString("latin1"));
    events.push(`${command} ${shown(command, data)}`.trimEnd());
    if (command === "D" || command === "A" || command === "Q") return;
    const answer = script.answer?.(command, data) ?? "c";
    const all: readonly (string | Buffer)[] = Array.isArray(answer) ? answer : [answer];
    const said = all.filter((one) => one !== "" && one !== "-");
    if (said.length > 0) send(said);
    if (all.at(-1) === "") socket.end();
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
