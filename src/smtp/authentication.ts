/** smtp/authentication.ts: AUTH as a client (RFC 4954): picks the mechanism, drives the exchange. CRAM-MD5 (RFC 2195),
 *  PLAIN (RFC 4616), LOGIN. The password goes nowhere but to the server, in the forms these demand. */
import { createHmac } from "node:crypto";
import type { Credentials } from "./credentials.ts";
import { fromReply, ownVerdict, softened, type Verdict } from "./outcome.ts";
import type { PeerReply } from "./reply.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./settings.ts";

interface Mechanism {
  readonly name: string;
  readonly plaintext: boolean;
  /** undefined: the server speaks first. */
  readonly initial: ((c: Credentials) => Buffer) | undefined;
  /** Answer to the nth challenge, counted from 0; undefined: there should be no further one. */
  readonly answer: (c: Credentials, challenge: Buffer, n: number) => Buffer | undefined;
}

/** Best first. */
const MECHANISMS: readonly Mechanism[] = [
  {
    name: "CRAM-MD5",
    plaintext: false,
    initial: undefined,
    answer(c, challenge, n) {
      if (n > 0) return undefined;
      const digest = createHmac("md5", c.password).update(challenge).digest("hex");
      return Buffer.from(`${c.username} ${digest}`);
    },
  },
  {
    name: "PLAIN",
    plaintext: true,
    initial: (c) => Buffer.from(`\0${c.username}\0${c.password}`),
    answer: () => undefined,
  },
  {
    name: "LOGIN",
    plaintext: true,
    initial: undefined,
    answer: (c, _challenge, n) => (n > 1 ? undefined : Buffer.from(n === 0 ? c.username : c.password)),
  },
];

/** The best mechanism that the server offers and the security options allow. */
function chooseMechanism(offered: string, settings: Settings, encrypted: boolean): Mechanism | undefined {
  const names = new Set(offered.toUpperCase().split(/\s+/));
  const { mechanisms, options, tlsOptions } = settings.sasl;
  const forbidden = encrypted ? tlsOptions : options;
  return MECHANISMS.find((mechanism) => {
    if (!names.has(mechanism.name)) return false;
    if (mechanisms.size > 0 && !mechanisms.has(mechanism.name)) return false;
    return !(mechanism.plaintext && forbidden.has("noplaintext"));
  });
}

/** Logs in; undefined when done, else why not. Rejects ConnectionError. */
export async function authenticate(
  session: Session,
  credentials: Credentials,
  settings: Settings,
): Promise<Verdict | undefined> {
  const offered = session.features.get("AUTH");
  if (offered === undefined) return undefined; // as Postfix: the server's own policy decides what we may send
  const mechanism = chooseMechanism(offered, settings, session.tls !== undefined);
  if (!mechanism) {
    const text = `SASL authentication failed; cannot authenticate to server ${session.host}: no mechanism available`;
    return ownVerdict("4.7.0", text);
  }
  const reply = await exchange(session, mechanism, { credentials, settings });
  if (reply.code >= 200 && reply.code < 300) return undefined;
  const failed = fromReply(reply, `SASL authentication failed; server ${session.host} said: ${reply.text}`);
  const soft = settings.sasl.softBounce || failed.kind === "deferred";
  return soft ? { ...softened(failed), dsn: "4.7.0" } : { ...failed, dsn: "5.7.0" };
}

/** The final reply. A challenge too many is answered with a cancellation. */
async function exchange(
  session: Session,
  mechanism: Mechanism,
  { credentials, settings }: { credentials: Credentials; settings: Settings },
): Promise<PeerReply> {
  const phase = "performing SASL authentication";
  const timeoutMs = settings.timeouts.heloMs;
  const initial = mechanism.initial?.(credentials).toString("base64");
  const first = initial === undefined ? `AUTH ${mechanism.name}` : `AUTH ${mechanism.name} ${initial}`;
  let reply = await session.command(first, phase, timeoutMs);
  for (let n = 0; reply.code === 334; n++) {
    const challenge = Buffer.from(reply.lines[0] ?? "", "base64");
    const answer = mechanism.answer(credentials, challenge, n);
    reply = await session.command(answer ? answer.toString("base64") : "*", phase, timeoutMs);
    if (!answer) break;
  }
  return reply;
}
