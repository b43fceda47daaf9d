/** test/bench/noop-milter.ts: a Milter that wants to see everything and says "continue" to all of it, as a process of its own, so that
 *  two servers can be measured with the same one. As a program: node test/bench/noop-milter.ts PORT */
import { type ChildProcess, spawn } from "node:child_process";
import net from "node:net";
import process from "node:process";

/** Commands that are not answered: macros, abort, quit. */
const SILENT = new Set([..."DAQK"].map((letter) => letter.charCodeAt(0)));
const OFFER = "O".charCodeAt(0);
const CONTINUE = Buffer.from([0, 0, 0, 1, "c".charCodeAt(0)]);
/** Version 6, no changes, every step. */
const NEGOTIATED = Buffer.from([0, 0, 0, 13, OFFER, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]);

export interface NoopMilter {
  readonly port: number;
  stop(): void;
}

/** Resolves when it listens. */
export async function startNoopMilter(port: number): Promise<NoopMilter> {
  const child: ChildProcess = spawn(process.execPath, [import.meta.filename, String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`The Milter ended: ${code}`)));
  });
  return { port, stop: () => void child.kill() };
}

function serve(socket: net.Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    let at = 0;
    while (pending.length >= at + 5) {
      const end = at + 4 + pending.readUInt32BE(at);
      if (pending.length < end) break;
      const command = pending[at + 4] as number;
      if (command === OFFER) socket.write(NEGOTIATED);
      else if (!SILENT.has(command)) socket.write(CONTINUE);
      at = end;
    }
    pending = pending.subarray(at);
  });
}

if (process.argv[1] === import.meta.filename) {
  net.createServer({ noDelay: true }, serve).listen(Number(process.argv[2]), "127.0.0.1", () => {
    process.stdout.write("ready\n");
  });
}
