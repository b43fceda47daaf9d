/** net/stdio-socket.ts: a pair of streams as the socket of a session with a client of this machine (sendmail -bs). The end of
 *  the session closes the input; the output stays open, and whatever is written to it gets there. */
import { Duplex, type Readable, type Writable } from "node:stream";
import type { Socket } from "./connection.ts";

const LOOPBACK = "127.0.0.1";

/** What a Connection needs of a socket; deadlines and TLS are its own. */
export function stdioSocket(input: Readable, output: Writable): Socket {
  const duplex = new Duplex({
    read: () => void input.resume(),
    write: (chunk, _encoding, done) => void output.write(chunk, done),
    destroy: (error, done) => {
      input.destroy();
      done(error);
    },
  });
  input.on("data", (chunk) => {
    if (!duplex.push(chunk)) input.pause();
  });
  input.on("end", () => duplex.push(null)).on("error", (error) => duplex.destroy(error));
  return Object.assign(duplex, {
    ...{ remoteAddress: LOOPBACK, remotePort: 0, localAddress: LOOPBACK, localPort: 0 },
    setNoDelay: () => duplex,
    destroySoon: () => {
      if (duplex.writableFinished) duplex.destroy();
      else duplex.end(() => duplex.destroy());
    },
  }) as unknown as Socket;
}
