/** policy/testdata/fake-server.ts: a policy server at the edge, for client.test.ts: it does what the test says. */
import net from "node:net";

/** A server whose sockets are given to `serve`; counts connections and requests. */
export class FakeServer {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  connections = 0;
  requests = 0;

  private constructor(serve: (socket: net.Socket, server: FakeServer) => void) {
    this.#server = net.createServer((socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      serve(socket, this);
    });
  }

  static async start(serve: (socket: net.Socket, server: FakeServer) => void): Promise<FakeServer> {
    const server = new FakeServer(serve);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** Calls `answer` for each whole request. */
  static answering(answer: (socket: net.Socket, nth: number) => void): Promise<FakeServer> {
    return FakeServer.start((socket, server) => {
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          text = text.slice(end + 2);
          answer(socket, ++server.requests);
        }
      });
    });
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get sockets(): ReadonlySet<net.Socket> {
    return this.#sockets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }
}
