/** test/testbed/login.ts: the client's side of AUTH in a Conversation: PLAIN, LOGIN, CRAM-MD5 (RFC 2195) and SCRAM-SHA-256
 *  (RFC 5802, RFC 7677), written apart from the server's so that one cannot hide the other's mistakes. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import type { Conversation } from "./conversation.ts";

export interface Credentials {
  readonly login: string;
  readonly password: string;
}

export type Mechanism = "PLAIN" | "LOGIN" | "CRAM-MD5" | "SCRAM-SHA-256";
export const MECHANISMS: readonly Mechanism[] = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"];

/** Resolves to the reply that ends the exchange, which need not be the one that was hoped for. */
export function logIn(client: Conversation, mechanism: Mechanism, who: Credentials): Promise<string> {
  if (mechanism === "PLAIN") return client.authPlain(who.login, who.password);
  if (mechanism === "LOGIN") return loginLogin(client, who);
  return mechanism === "CRAM-MD5" ? loginCramMd5(client, who) : loginScram(client, who);
}

const encode = (text: string | Uint8Array) => Buffer.from(text).toString("base64");
const challengeOf = (reply: string) => Buffer.from(reply.slice(4), "base64").toString("latin1");
const isChallenge = (reply: string) => reply.startsWith("334 ");
const hmac = (key: string | Uint8Array, text: string) => createHmac("sha256", key).update(text).digest();

async function loginLogin(client: Conversation, { login, password }: Credentials): Promise<string> {
  const first = await client.say("AUTH LOGIN");
  if (!isChallenge(first)) return first;
  const second = await client.say(encode(login));
  return isChallenge(second) ? client.say(encode(password)) : second;
}

async function loginCramMd5(client: Conversation, { login, password }: Credentials): Promise<string> {
  const reply = await client.say("AUTH CRAM-MD5");
  if (!isChallenge(reply)) return reply;
  const digest = createHmac("md5", password).update(challengeOf(reply), "latin1").digest("hex");
  return client.say(encode(`${login} ${digest}`));
}

async function loginScram(client: Conversation, { login, password }: Credentials): Promise<string> {
  const clientFirst = `n=${login},r=${randomBytes(18).toString("base64")}`;
  const reply = await client.say(`AUTH SCRAM-SHA-256 ${encode(`n,,${clientFirst}`)}`);
  if (!isChallenge(reply)) return reply;
  const serverFirst = challengeOf(reply);
  const [, nonce = "", salt = "", rounds = ""] = /^r=(.*),s=(.*),i=(\d+)$/.exec(serverFirst) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt, "base64"), Number(rounds), 32, "sha256");
  const withoutProof = `c=biws,r=${nonce}`;
  const signed = `${clientFirst},${serverFirst},${withoutProof}`;
  const clientKey = hmac(salted, "Client Key");
  const signature = hmac(createHash("sha256").update(clientKey).digest(), signed);
  const proof = clientKey.map((byte, i) => byte ^ (signature[i] ?? 0));
  const verdict = await client.say(encode(`${withoutProof},p=${encode(proof)}`));
  if (!isChallenge(verdict)) return verdict;
  const expected = `v=${encode(hmac(hmac(salted, "Server Key"), signed))}`;
  if (challengeOf(verdict) !== expected) throw new Error(`The server does not know the password: ${verdict}`);
  return client.say("");
}
