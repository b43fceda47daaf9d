/** master/rpc.ts: calls between the master and one worker over any ordered message channel (IPC, or a function call when
 *  there is one process). Every call is answered once; a call that is open when the channel dies is rejected. */

/** `handle` travels beside the message and only over IPC. */
export type SendMessage = (message: unknown, handle?: unknown) => void;
export type Methods = ReadonlyMap<string, (args: never, handle: unknown) => unknown>;

/** The other side ended before it answered. */
export class PeerEndedError extends Error {
  override readonly name = "PeerEndedError";
}

type Wire =
  | { readonly kind: "call"; readonly id: number; readonly method: string; readonly args: unknown }
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly message: string };

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Rpc {
  readonly #send: SendMessage;
  readonly #methods: Methods;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed: Error | undefined;

  constructor(send: SendMessage, methods: Methods) {
    this.#send = send;
    this.#methods = methods;
  }

  call(method: string, args: unknown, handle?: unknown): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send({ kind: "call", id, method, args } satisfies Wire, handle);
    });
  }

  /** Takes one message that arrived on the channel. */
  receive(message: unknown, handle?: unknown): void {
    if (this.#closed) return; // what was under way when the peer ended
    // Workers talk to the network: one that was taken over must not end the master with nonsense.
    if (typeof message !== "object" || message === null) return;
    const wire = message as Wire;
    if (wire.kind === "call") {
      void this.#answer(wire, handle);
      return;
    }
    const pending = this.#pending.get(wire.id);
    this.#pending.delete(wire.id);
    if (wire.kind === "result") pending?.resolve(wire.value);
    else pending?.reject(new Error(wire.message));
  }

  /** The peer is gone. */
  close(reason: string): void {
    this.#closed = new PeerEndedError(reason);
    for (const pending of this.#pending.values()) pending.reject(this.#closed);
    this.#pending.clear();
  }

  async #answer(wire: Extract<Wire, { kind: "call" }>, handle: unknown): Promise<void> {
    let reply: Wire;
    try {
      const method = this.#methods.get(wire.method);
      if (!method) throw new Error(`No method "${wire.method}"`);
      reply = { kind: "result", id: wire.id, value: await method(wire.args as never, handle) };
    } catch (error) {
      reply = { kind: "error", id: wire.id, message: error instanceof Error ? error.message : String(error) };
    }
    if (!this.#closed) this.#send(reply);
  }
}
