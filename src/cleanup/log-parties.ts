/** cleanup/log-parties.ts: who sent a message to whom, as the log lines of cleanup(8) say it. */
import { type Address, formatAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";

export interface Parties {
  readonly from: string;
  readonly to: string | undefined;
  readonly proto: string | undefined;
  readonly helo: string | undefined;
}

/** Where a content filter has told of the first client (XFORWARD), that one. `recipient`: the last one. */
export function partiesOf(envelope: Envelope, recipient: Address | undefined): Parties {
  const { helo, forwarded, uid } = envelope.origin;
  const protocol = uid === undefined ? envelope.origin.protocol : undefined;
  return {
    from: formatAddress(envelope.sender),
    to: recipient === undefined ? undefined : formatAddress(recipient),
    proto: forwarded ? forwarded.protocol : protocol,
    helo: forwarded ? forwarded.helo : helo,
  };
}

/** ` from=<s> to=<r> proto=ESMTP helo=<h>`, without what is not known. */
export function partiesText({ from, to, proto, helo }: Parties): string {
  return (
    ` from=<${from}>${to === undefined ? "" : ` to=<${to}>`}` +
    `${proto === undefined ? "" : ` proto=${proto}`}${helo === undefined ? "" : ` helo=<${helo}>`}`
  );
}

/** The client that spoke to us: `name[address]`. */
export function actingClient({ origin: { clientName, clientAddress } }: Envelope): string {
  return `${clientName}[${clientAddress}]`;
}
