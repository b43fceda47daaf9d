/** sasl/verifiers.ts: what is stored of a password, as text and as values: the scrypt hash for PLAIN and LOGIN
 *  (`$scrypt$ln=15,r=8,p=1$salt$key`, unpadded base64) and the SCRAM keys (RFC 5803 form,
 *  `SCRAM-SHA-256$iterations:salt$storedKey:serverKey`). derive…() block for the time of the hash: for the command line
 *  only; the server hashes in hash-pool.ts. */
import { createHash, createHmac, pbkdf2Sync, randomBytes, scryptSync } from "node:crypto";
import type { ScramKeys } from "./passwords.ts";

/** The cost of one scrypt: N = 2^logN, memory 128·N·r bytes. */
export interface ScryptCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

export interface ScryptVerifier extends ScryptCost {
  readonly salt: Uint8Array;
  readonly key: Uint8Array;
}

/** About 60 ms and 32 MiB on a server of 2024. */
export const DEFAULT_SCRYPT_COST: ScryptCost = { logN: 15, r: 8, p: 1 };

/** RFC 7677 §4 asks for 4096 at least; every login costs the client so many HMACs. */
export const DEFAULT_SCRAM_ITERATIONS = 65_536;

export const SALT_BYTES = 16;
const KEY_BYTES = 32;
const MIN_SCRAM_ITERATIONS = 4096;
const MAX_SCRAM_ITERATIONS = 10_000_000;
const MAX_SCRYPT_MEMORY = 256 * 1024 * 1024;

/** Options for node:crypto's scrypt; OpenSSL needs a little more than the 128·N·r of the algorithm. */
export function scryptOptions(cost: ScryptCost): { N: number; r: number; p: number; maxmem: number } {
  return { N: 2 ** cost.logN, r: cost.r, p: cost.p, maxmem: memoryOf(cost) + 4 * 1024 * 1024 };
}

function memoryOf(cost: ScryptCost): number {
  return 128 * cost.r * (2 ** cost.logN + cost.p);
}

export function deriveScrypt(password: string, cost: ScryptCost = DEFAULT_SCRYPT_COST): ScryptVerifier {
  const salt = randomBytes(SALT_BYTES);
  return { ...cost, salt, key: scryptSync(password, salt, KEY_BYTES, scryptOptions(cost)) };
}

/** RFC 5802 §3. `password` is prepared. */
export function deriveScramKeys(password: string, salt: Uint8Array, iterations: number): ScramKeys {
  const salted = pbkdf2Sync(password, salt, iterations, KEY_BYTES, "sha256");
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  return {
    iterations,
    salt,
    storedKey: createHash("sha256").update(clientKey).digest(),
    serverKey: createHmac("sha256", salted).update("Server Key").digest(),
  };
}

export function formatScrypt(verifier: ScryptVerifier): string {
  const { logN, r, p, salt, key } = verifier;
  return `$scrypt$ln=${logN},r=${r},p=${p}$${unpadded(salt)}$${unpadded(key)}`;
}

/** undefined for a text of another form, or a cost that no honest file has (256 MiB, p 16). */
export function parseScrypt(text: string): ScryptVerifier | undefined {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43})$/.exec(
    text,
  );
  if (match === null) return undefined;
  const cost = { logN: Number(match[1]), r: Number(match[2]), p: Number(match[3]) };
  if (cost.logN < 1 || cost.r < 1 || cost.p < 1 || cost.p > 16 || memoryOf(cost) > MAX_SCRYPT_MEMORY) return undefined;
  return { ...cost, salt: fromBase64(match[4]), key: fromBase64(match[5]) };
}

export function formatScram(keys: ScramKeys): string {
  const [salt, stored, server] = [keys.salt, keys.storedKey, keys.serverKey].map((b) =>
    Buffer.from(b).toString("base64"),
  );
  return `SCRAM-SHA-256$${keys.iterations}:${salt}$${stored}:${server}`;
}

/** undefined for a text of another form or an iteration count outside 4096…10 million. */
export function parseScram(text: string): ScramKeys | undefined {
  const match =
    /^SCRAM-SHA-256\$(\d{4,8}):([A-Za-z0-9+/]{10,86}={0,2})\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/.exec(text);
  if (match === null) return undefined;
  const iterations = Number(match[1]);
  if (iterations < MIN_SCRAM_ITERATIONS || iterations > MAX_SCRAM_ITERATIONS) return undefined;
  return {
    iterations,
    salt: fromBase64(match[2]),
    storedKey: fromBase64(match[3]),
    serverKey: fromBase64(match[4]),
  };
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

function fromBase64(text: string | undefined): Buffer {
  return Buffer.from(text ?? "", "base64");
}
