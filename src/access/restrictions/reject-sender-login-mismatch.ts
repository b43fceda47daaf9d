/** access/restrictions/reject-sender-login-mismatch.ts: who may use which MAIL FROM (smtpd_sender_login_maps). The class
 *  `reject_sender_login_mismatch` is the authenticated and the unauthenticated check together. All of them let the null
 *  sender pass and look at the envelope only, as Postfix does. */
import { createLoginOwners, type LoginOwners } from "../../rewrite/login-owners.ts";
import { mismatchCode } from "../reply-codes.ts";
import { rejected } from "../reply-text.ts";
import { type Context, DUNNO, type Evaluate, type Outcome, type Services, type Word } from "../restriction.ts";

interface Ownership {
  readonly owners: LoginOwners;
  /** Of a refusal. */
  readonly code: 550 | 553;
}

type Check = (context: Context, ownership: Ownership) => Promise<Outcome>;

export const rejectAuthenticatedSenderLoginMismatch = word(
  "reject_authenticated_sender_login_mismatch",
  (context, of) => (isLoggedIn(context) ? checkOwner(context, of, { unlisted: "refuse" }) : Promise.resolve(DUNNO)),
);

export const rejectUnauthenticatedSenderLoginMismatch = word(
  "reject_unauthenticated_sender_login_mismatch",
  (context, of) => (isLoggedIn(context) ? Promise.resolve(DUNNO) : checkUnowned(context, of)),
);

export const rejectKnownSenderLoginMismatch = word("reject_known_sender_login_mismatch", (context, of) =>
  isLoggedIn(context) ? checkOwner(context, of, { unlisted: "allow" }) : checkUnowned(context, of),
);

export const rejectSenderLoginMismatch = word("reject_sender_login_mismatch", (context, of) =>
  isLoggedIn(context) ? checkOwner(context, of, { unlisted: "refuse" }) : checkUnowned(context, of),
);

function word(name: string, check: Check): Word {
  return {
    names: [name],
    argument: "none",
    build: (services) => evaluateWith(name, check, services),
  };
}

function evaluateWith(name: string, check: Check, services: Services): Evaluate {
  const ownership = { owners: createLoginOwners(services), code: mismatchCode(services.params) };
  return (context) => {
    const { sender, saslEnabled } = context.facts;
    if (sender === undefined || sender === "") return DUNNO;
    if (!saslEnabled) {
      services.log.warning(`restriction \`${name}' ignored: no SASL support`);
      return DUNNO;
    }
    return check(context, ownership);
  };
}

function isLoggedIn({ facts }: Context): boolean {
  return facts.sasl !== undefined;
}

/** The login must be among the owners. */
async function checkOwner(
  context: Context,
  { owners, code }: Ownership,
  { unlisted }: { readonly unlisted: "allow" | "refuse" },
): Promise<Outcome> {
  const { sender, sasl } = context.facts;
  if (sender === undefined || sasl === undefined) return DUNNO;
  const logins = await owners.of(sender, context.trace);
  if (logins === undefined ? unlisted === "allow" : logins.includes(sasl.username)) return DUNNO;
  return refuse(code, sender, `not owned by user ${sasl.username}`);
}

/** An address that somebody owns is not for clients that have not logged in. */
async function checkUnowned(context: Context, { owners, code }: Ownership): Promise<Outcome> {
  const { sender } = context.facts;
  if (sender === undefined || (await owners.of(sender, context.trace)) === undefined) return DUNNO;
  return refuse(code, sender, "not logged in");
}

function refuse(code: number, sender: string, text: string): Outcome {
  const subject = { name: sender, replyClass: "Sender address" } as const;
  return { kind: "refuse", cause: "policy", reply: rejected(code, "5.7.1", subject, text) };
}
