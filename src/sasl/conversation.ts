/** sasl/conversation.ts: a mechanism as straight-line code. A Conversation yields challenges, is resumed with responses and
 *  returns how it ended; converse() makes the SaslExchange that smtpd drives. States: fresh, talking, over. */
import type { SaslExchange, SaslStep } from "./backend.ts";
import type { Passwords, PasswordVerdict } from "./passwords.ts";

/** How an exchange ends. */
export type Outcome = Exclude<SaslStep, { readonly kind: "challenge" }>;

export type Conversation = AsyncGenerator<Uint8Array, Outcome, Uint8Array>;

/** `initial` is undefined when AUTH came without an initial response; empty for `=`. */
export type Mechanism = (passwords: Passwords, initial: Uint8Array | undefined) => Conversation;

/** The one reason of a refused login: the same for an unknown user, a wrong password and a malformed message. */
const AUTHENTICATION_FAILURE = "authentication failure";

export const EMPTY = new Uint8Array(0);

/** A refused login; `username` is what the client claimed. */
export function denied(username?: string): Outcome {
  return { kind: "failure", temporary: false, reason: AUTHENTICATION_FAILURE, username };
}

/** A login nobody could judge. */
export function undecided(reason: string, username?: string): Outcome {
  return { kind: "failure", temporary: true, reason, username };
}

/** The outcome of a password comparison. */
export function outcomeOf(method: string, claimed: string, verdict: PasswordVerdict): Outcome {
  if (verdict.kind === "match") return { kind: "success", identity: { method, username: verdict.login } };
  return verdict.kind === "mismatch" ? denied(claimed) : undecided(verdict.reason, claimed);
}

/** Drives one conversation. `onError` gets what the conversation threw (a bug, logged by the owner); the client gets a
 *  temporary failure. A call after the end is a failure. */
export function converse(
  begin: (initial: Uint8Array | undefined) => Conversation,
  onError: (error: unknown) => void,
): SaslExchange {
  let conversation: Conversation | undefined;
  let over = false;
  return {
    async next(response) {
      if (over) return denied();
      try {
        const first = conversation === undefined;
        conversation ??= begin(response);
        const step = first ? await conversation.next() : await conversation.next(response ?? EMPTY);
        if (!step.done) return { kind: "challenge", challenge: step.value };
        over = true;
        return step.value ?? denied();
      } catch (error) {
        over = true;
        onError(error);
        return undecided("internal error");
      }
    },
    close() {
      over = true;
      conversation = undefined;
    },
  };
}
