/** smtp/authentication.ts: AUTH as a client (RFC 4954): picks the mechanism, drives the exchange, in Postfix's words. The
 *  password goes nowhere but to the server, in the form that the mechanism demands. */
import type { Credentials } from "./credentials.ts";
import { chooseMechanism, isAllowed, type Mechanism } from "./mechanisms.ts";
import { fromReply, ownVerdict, softened, type Verdict } from "./outcome.ts";
import { type PeerReply, replyClass } from "./reply.ts";
import { SaslRefusal } from "./sasl-client.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./settings.ts";

/** Of a command line, RFC 5321 §4.5.3.1.4, CRLF included: a longer initial response is sent as an answer (RFC 4954 §4). */
const MAX_COMMAND = 512;

/** Logs in; undefined when done, else why not. Rejects ConnectionError. */
export async function authenticate(
  session: Session,
  credentials: Credentials,
  settings: Settings,
): Promise<Verdict | undefined> {
  const offered = session.features.get("AUTH");
  if (offered === undefined) return undefined; // as Postfix: the server's own policy decides what we may send
  const names = new Set(offered.toUpperCase().split(/\s+/).filter(Boolean));
  const { mechanisms, options, tlsOptions, verifiedOptions } = settings.sasl;
  const allowed = session.verified ? verifiedOptions : session.tls ? tlsOptions : options;
  if (![...names].some((name) => isAllowed(name, mechanisms))) return incompatible(session);
  const mechanism = chooseMechanism(names, mechanisms, allowed);
  if (!mechanism) return failed(`cannot authenticate to server ${session.host}: no mechanism available`);
  try {
    const reply = await new Exchange(session, mechanism, settings).run(credentials);
    return replyClass(reply) === 2 ? undefined : refused(session, reply, settings);
  } catch (error) {
    if (!(error instanceof SaslRefusal)) throw error;
    return failed(`cannot authenticate to server ${session.host}: ${error.message}`);
  }
}

function failed(text: string): Verdict {
  return ownVerdict("4.7.0", `SASL authentication failed; ${text}`);
}

function incompatible({ host }: Session): Verdict {
  const what = "offered no compatible authentication mechanisms for this type of connection security";
  return ownVerdict("4.7.0", `SASL authentication failed: server ${host} ${what}`);
}

function refused(session: Session, reply: PeerReply, { sasl }: Settings): Verdict {
  const verdict = fromReply(reply, `SASL authentication failed; server ${session.host} said: ${reply.text}`);
  return sasl.softBounce ? softened(verdict) : verdict;
}

class Exchange {
  readonly #session: Session;
  readonly #mechanism: Mechanism;
  readonly #timeoutMs: number;
  /** Postfix counts the login to the greeting. */
  readonly #phase: string;

  constructor(session: Session, mechanism: Mechanism, settings: Settings) {
    this.#session = session;
    this.#mechanism = mechanism;
    this.#timeoutMs = settings.timeouts.heloMs;
    this.#phase = `performing the ${settings.protocol === "lmtp" ? "LHLO" : "EHLO"} handshake`;
  }

  /** The final reply. Rejects SaslRefusal, after it has cancelled the exchange, and ConnectionError. One challenge too many says
   *  nothing of the password: Cyrus SASL's words. */
  async run(credentials: Credentials): Promise<PeerReply> {
    const talk = this.#mechanism.talk(credentials, this.#session.target);
    const initial = await talk.next();
    let reply = await this.#begin(initial.done ? undefined : initial.value);
    while (reply.code === 334) {
      const next = await this.#next(talk, reply);
      if (next === undefined) {
        await this.#cancel();
        throw new SaslRefusal("generic failure");
      }
      reply = await this.#say(next.toString("base64"));
    }
    // A server that agrees before it has proved itself may be anybody: the conversation throws.
    if (replyClass(reply) === 2 && this.#mechanism.proves) await talk.next(Buffer.alloc(0));
    return reply;
  }

  /** With the initial response, if the line has room for it. "=" is an empty one (RFC 4954 §4). */
  async #begin(initial: Buffer | undefined): Promise<PeerReply> {
    const command = `AUTH ${this.#mechanism.name}`;
    if (initial === undefined) return this.#say(command);
    const encoded = initial.length === 0 ? "=" : initial.toString("base64");
    if (command.length + encoded.length + 3 <= MAX_COMMAND) return this.#say(`${command} ${encoded}`);
    const reply = await this.#say(command);
    return reply.code === 334 ? this.#say(encoded) : reply;
  }

  /** The answer to a challenge; undefined: there should be none. */
  async #next(talk: ReturnType<Mechanism["talk"]>, reply: PeerReply): Promise<Buffer | undefined> {
    try {
      const next = await talk.next(Buffer.from(reply.lines[0] ?? "", "base64"));
      return next.done ? undefined : next.value;
    } catch (error) {
      if (error instanceof SaslRefusal) await this.#cancel();
      throw error;
    }
  }

  #cancel(): Promise<PeerReply> {
    return this.#say("*");
  }

  #say(line: string): Promise<PeerReply> {
    return this.#session.command(line, this.#phase, this.#timeoutMs);
  }
}
