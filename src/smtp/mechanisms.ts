/** smtp/mechanisms.ts: the SASL mechanisms of the client and which one is used. Each is one row; what it is safe against are
 *  Cyrus SASL's words, as in smtp_sasl_security_options. */
import { createHmac, randomBytes } from "node:crypto";
import type { Credentials } from "./credentials.ts";
import type { ClientConversation } from "./sasl-client.ts";
import { scram } from "./scram.ts";
import type { Target } from "./session.ts";

/** Properties that options may demand: the mechanism does not send the password, resists somebody who changes the dialogue,
 *  who guesses passwords from it; the server proves itself. */
export type Property = "noplaintext" | "noactive" | "nodictionary" | "mutual_auth";

export interface Mechanism {
  readonly name: string;
  readonly properties: readonly Property[];
  /** Only where smtp_sasl_mechanism_filter names it: its password is no password. */
  readonly onlyNamed?: true;
  /** The conversation ends with a response of its own, after the server's proof. */
  readonly proves?: true;
  readonly talk: (credentials: Credentials, target: Target) => ClientConversation;
}

/** Best first. */
const MECHANISMS: readonly Mechanism[] = [
  { name: "EXTERNAL", properties: ["noplaintext", "noactive", "nodictionary"], onlyNamed: true, talk: external },
  {
    name: "SCRAM-SHA-256",
    properties: ["noplaintext", "noactive", "mutual_auth"],
    proves: true,
    talk: (credentials) => scram("sha256", credentials, nonce()),
  },
  {
    name: "SCRAM-SHA-1",
    properties: ["noplaintext", "noactive", "mutual_auth"],
    proves: true,
    talk: (credentials) => scram("sha1", credentials, nonce()),
  },
  { name: "OAUTHBEARER", properties: [], onlyNamed: true, talk: oauthBearer },
  { name: "XOAUTH2", properties: [], onlyNamed: true, talk: xoauth2 },
  { name: "CRAM-MD5", properties: ["noplaintext"], talk: cramMd5 },
  { name: "PLAIN", properties: [], talk: plain },
  { name: "LOGIN", properties: [], talk: login },
];

const DEMANDS: readonly Property[] = ["noplaintext", "noactive", "nodictionary", "mutual_auth"];

/** The best that the server offers, the filter lets through, and that has the properties that the options demand. Names are
 *  in upper case, options in lower case. */
export function chooseMechanism(
  offered: ReadonlySet<string>,
  filter: readonly string[],
  options: ReadonlySet<string>,
): Mechanism | undefined {
  return MECHANISMS.find(({ name, properties, onlyNamed }) => {
    if (!offered.has(name) || !isAllowed(name, filter) || (onlyNamed && !filter.includes(name))) return false;
    return DEMANDS.every((property) => !options.has(property) || properties.includes(property));
  });
}

/** smtp_sasl_mechanism_filter, a match list (postconf(5)): the first item that fits decides, `!` in front turns it round;
 *  `static:` fits all. Empty: everything. */
export function isAllowed(name: string, filter: readonly string[]): boolean {
  if (filter.length === 0) return true;
  for (const item of filter) {
    const bare = item.replace(/^!/, "");
    if (bare === name || bare.startsWith("STATIC:")) return bare === item;
  }
  return false;
}

function nonce(): string {
  return randomBytes(18).toString("base64");
}

/** RFC 4616. */
async function* plain({ username, password }: Credentials): ClientConversation {
  yield Buffer.from(`\0${username}\0${password}`);
}

async function* login({ username, password }: Credentials): ClientConversation {
  yield undefined;
  yield Buffer.from(username);
  yield Buffer.from(password);
}

/** RFC 2195. */
async function* cramMd5({ username, password }: Credentials): ClientConversation {
  const challenge = yield undefined;
  const digest = createHmac("md5", password).update(challenge).digest("hex");
  yield Buffer.from(`${username} ${digest}`);
}

/** RFC 4422 appendix A: the certificate says who we are; a user name, if there is one, whom we act for. */
async function* external({ username }: Credentials): ClientConversation {
  yield Buffer.from(username);
}

/** RFC 7628 §3.1: the password is the token. After a failure the server waits for one more byte (§3.2.3). */
async function* oauthBearer({ username, password }: Credentials, { host, port }: Target): ClientConversation {
  const authzid = username.replaceAll("=", "=3D").replaceAll(",", "=2C");
  yield Buffer.from(`n,a=${authzid},\x01host=${host}\x01port=${port ?? 0}\x01auth=Bearer ${password}\x01\x01`);
  yield Buffer.from("\x01");
}

/** As OAUTHBEARER before it was a standard; a failure is answered by an empty response. */
async function* xoauth2({ username, password }: Credentials): ClientConversation {
  yield Buffer.from(`user=${username}\x01auth=Bearer ${password}\x01\x01`);
  yield Buffer.alloc(0);
}
