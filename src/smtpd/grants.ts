/** smtpd/grants.ts: what MAIL asked beyond what everybody gets: a priority above 0 (RFC 6710 §4.1), a message to be held (RFC
 *  4865 §6). Neither is granted in doubt. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { PriorityTunnel } from "../cleanup/tunnelled-priority.ts";
import { holdingOwner } from "../mail/future-release.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import type { Session } from "./session.ts";
import { offeredSubmission } from "./submission-extensions.ts";
import type { Transaction } from "./transaction.ts";
import { refuse } from "./verdict.ts";

const LOOKUP_FAILED = reply(451, "4.3.0", "Temporary lookup failure");

/** The refusal, or undefined: then the transaction has what it asked for, or a lower priority. */
export function grantSubmission(session: Session, transaction: Transaction): Awaitable<Reply | undefined> {
  const { priority = 0 } = transaction;
  const { futureRelease } = transaction.start.submission ?? {};
  if (priority <= 0 && futureRelease === undefined) return undefined;
  const granted = priority > 0 ? grantPriority(session, transaction, priority) : undefined;
  return whenKnown(granted, (refused) => {
    return refused ?? (futureRelease === undefined ? undefined : grantHold(session, transaction));
  });
}

async function grantPriority(session: Session, transaction: Transaction, asked: number): Promise<Reply | undefined> {
  const { submission } = session.settings;
  const limit = await limitOf(session);
  if (limit === undefined) return LOOKUP_FAILED;
  if (asked > limit && submission.priorityExcess === "reject") {
    return refuse(session, reply(550, "5.7.15", `Priority ${asked} is not for you: use at most ${limit}`));
  }
  transaction.priority = Math.min(asked, limit);
  return tooBigForPriority(session, transaction, transaction.start.declaredSize);
}

/** postern_priority_tunnel: for a client that could have said it at MAIL. More than it may is lowered: nobody can be told. */
export function priorityTunnel(session: Session, transaction: Transaction): PriorityTunnel | undefined {
  if (!session.settings.submission.priorityTunnel || !offeredSubmission(session)?.priority) return undefined;
  return {
    given: transaction.priority !== undefined,
    async grant(asked) {
      const limit = asked > 0 ? await limitOf(session) : asked;
      if (limit === undefined) return undefined;
      transaction.priority = Math.min(asked, limit);
      return transaction.priority;
    },
  };
}

async function limitOf(session: Session): Promise<number | undefined> {
  const { priorityLimit } = session.options;
  return priorityLimit ? priorityLimit(ownerOf(session)) : 0;
}

/** postern_priority_size_limit. */
export function tooBigForPriority(
  session: Session,
  transaction: Transaction,
  sizeBytes: number | undefined,
): Reply | undefined {
  const limit = session.settings.submission.prioritySizeLimit;
  const { priority = 0 } = transaction;
  if (priority <= 0 || limit === 0 || sizeBytes === undefined || sizeBytes <= limit) return undefined;
  return refuse(session, reply(552, "5.7.16", `Message is too big for priority ${priority}: at most ${limit} bytes`));
}

/** Reserved before it is counted, so that two at a time cannot both be the last one. */
async function grantHold(session: Session, transaction: Transaction): Promise<Reply | undefined> {
  const { heldMail } = session.options;
  const quota = session.settings.submission.futureReleaseQuota;
  if (quota === 0 || heldMail === undefined) return undefined;
  const owner = ownerOf(session);
  transaction.endOfReservation = heldMail.reserve(owner);
  try {
    if ((await heldMail.count(owner)) <= quota) return undefined;
  } catch (error) {
    session.log.warning(printableUtf8(`cannot count held messages: ${(error as Error).message}`));
    return LOOKUP_FAILED;
  }
  return refuse(session, reply(552, "5.7.1", `You have ${quota} messages held for later already`));
}

function ownerOf({ user, client }: Session): string {
  return holdingOwner({ saslUsername: user?.username, clientAddress: client.address });
}
