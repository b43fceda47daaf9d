/** sasl/hash-thread.ts: entry of a hash thread. Blocks on one scrypt after another, so that neither the event loop nor
 *  libuv's pool (which does the fdatasync of the queue) ever waits for a password. Knows no user and decides nothing. */
import { scryptSync } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { type ScryptCost, scryptOptions } from "./verifiers.ts";

/** One hash to compute; the thread answers with a HashReply. */
export interface HashRequest {
  readonly password: string;
  readonly salt: Uint8Array;
  readonly keyBytes: number;
  readonly cost: ScryptCost;
}

export type HashReply = { readonly key: Uint8Array } | { readonly error: string };

parentPort?.on("message", (request: HashRequest) => {
  parentPort?.postMessage(answer(request));
});

function answer(request: HashRequest): HashReply {
  const { password, salt, keyBytes, cost } = request;
  try {
    return { key: new Uint8Array(scryptSync(password, salt, keyBytes, scryptOptions(cost))) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : "unknown error" };
  }
}
