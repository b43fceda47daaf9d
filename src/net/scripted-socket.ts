/** net/scripted-socket.ts: a socket without a network: one end is a Connection, the other a function that is told what was
 *  sent and may send something itself. For playing a session through. */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { Endpoint } from "./connection.ts";

export interface ScriptedSocket {
  readonly socket: Socket;
  /** Delivers bytes, or with `null` the end of what the client says. */
  send(text: string | null): void;
}

/** `onSent` gets each piece of output, latin1 or UTF-8 as written. */
export function scriptedSocket(
  ends: { readonly peer: Endpoint; readonly local: Endpoint },
  onSent: (text: string) => void,
): ScriptedSocket {
  const duplex = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      onSent(chunk.toString("utf8"));
      done();
    },
  });
  const { peer, local } = ends;
  const socket = Object.assign(duplex, {
    remoteAddress: peer.address,
    remotePort: peer.port,
    localAddress: local.address,
    localPort: local.port,
    setNoDelay: () => socket,
    destroySoon: () => void duplex.destroy(),
  }) as unknown as Socket; // of a net.Socket, Connection uses no more than this
  return { socket, send: (text) => void duplex.push(text) };
}
