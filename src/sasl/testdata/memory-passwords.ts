/** sasl/testdata/memory-passwords.ts: Passwords in memory and what tests say to a mechanism. Compares passwords directly,
 *  so that mechanism tests need neither a file nor a thread. */
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import type { MechanismProperties, SaslContext, SaslExchange, SaslStep } from "../backend.ts";
import { converse, type Mechanism } from "../conversation.ts";
import type { Passwords } from "../passwords.ts";
import { deriveScramKeys } from "../verifiers.ts";

export const CONTEXT: SaslContext = {
  clientAddress: "192.0.2.7",
  serverAddress: "192.0.2.25",
  clientPort: 40_000,
  serverPort: 587,
  tls: true,
  myhostname: "mail.example.org",
};

/** A mechanism with all properties off but those given. */
export function mechanism(name: string, properties: Partial<MechanismProperties> = {}): MechanismProperties {
  const none = { plaintext: false, anonymous: false, active: false, dictionary: false };
  return { name, ...none, forwardSecrecy: false, mutualAuth: false, ...properties };
}

/** Accounts by login; SCRAM keys with salt and iterations of RFC 7677 unless given. */
export function memoryPasswords(accounts: ReadonlyMap<string, string>): Passwords {
  const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
  const keys = new Map([...accounts].map(([login, password]) => [login, deriveScramKeys(password, salt, 4096)]));
  const nobody = deriveScramKeys("nobody knows this", salt, 4096);
  return {
    async verify(username, password) {
      return accounts.get(username) === password ? { kind: "match", login: username } : { kind: "mismatch" };
    },
    cramSecret(username) {
      const password = accounts.get(username);
      if (password === undefined) return { kind: "none" };
      return { kind: "secret", login: username, secret: Buffer.from(password) };
    },
    scramKeys(username) {
      const known = keys.get(username);
      return { kind: "keys", login: known && username, keys: known ?? nobody };
    },
  };
}

/** An exchange that fails the test when the mechanism throws. */
export function begin(mechanism: Mechanism, passwords: Passwords): SaslExchange {
  return converse(
    (initial) => mechanism(passwords, initial),
    (error) => {
      throw error;
    },
  );
}

/** All steps of one dialogue; ends early when the exchange does. `undefined` first: no initial response. */
export async function talk(exchange: SaslExchange, responses: readonly (string | Uint8Array | undefined)[]) {
  const steps: string[] = [];
  for (const response of responses) {
    const step = await exchange.next(typeof response === "string" ? Buffer.from(response) : response);
    steps.push(show(step));
    if (step.kind !== "challenge") break;
  }
  return steps;
}

/** A step in one line: `334 text`, `235 METHOD login`, `535 reason [claimed]`, `454 reason [claimed]`. */
function show(step: SaslStep): string {
  if (step.kind === "challenge") return `334 ${Buffer.from(step.challenge).toString()}`;
  if (step.kind === "success") return `235 ${step.identity.method} ${step.identity.username}`;
  const claimed = step.username === undefined ? "" : ` [${step.username}]`;
  return `${step.temporary ? 454 : 535} ${step.reason}${claimed}`;
}

const hmac = (key: Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** The client-final message of somebody who knows `password`. */
export function scramProof(password: string, bare: string, serverFirst: string, change: { binding?: string } = {}): string {
  const [, nonce = "", salt = "", iterations = ""] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt, "base64"), Number(iterations), 32, "sha256");
  const clientKey = hmac(salted, "Client Key");
  const storedKey = createHash("sha256").update(clientKey).digest();
  const withoutProof = `c=${change.binding ?? "biws"},r=${nonce}`;
  const signature = hmac(storedKey, `${bare},${serverFirst},${withoutProof}`);
  const proof = clientKey.map((byte, i) => byte ^ (signature[i] ?? 0));
  return `${withoutProof},p=${Buffer.from(proof).toString("base64")}`;
}
