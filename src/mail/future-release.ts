/** mail/future-release.ts: mail that is to be held for a while (RFC 4865): whose it is, and when it counts as sent. */
import type { Envelope, Origin } from "./envelope.ts";

/** Against whose quota the message counts: the login, or for a client without one its address, as `[192.0.2.1]`. */
export function holdingOwner({ saslUsername, clientAddress }: Pick<Origin, "saslUsername" | "clientAddress">): string {
  return saslUsername ?? `[${clientAddress}]`;
}

/** From when on its age counts, epoch milliseconds: time that it was held as its sender wished makes no mail late. */
export function sentMs({ arrivalMs, futureRelease }: Pick<Envelope, "arrivalMs" | "futureRelease">): number {
  return futureRelease === undefined ? arrivalMs : Math.max(arrivalMs, futureRelease.untilMs);
}
