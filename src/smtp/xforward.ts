/** smtp/xforward.ts: tells a content filter where the mail came from (XFORWARD_README): one or two commands before MAIL. */
import type { Envelope, ForwardedOrigin } from "../mail/envelope.ts";
import { encodeXtext } from "../mail/xtext.ts";

const UNAVAILABLE = "[UNAVAILABLE]";

/** Postfix's two commands, and the order in them. */
const COMMANDS = [
  ["NAME", "ADDR", "PORT"],
  ["PROTO", "HELO", "IDENT", "SOURCE"],
] as const;

/** Without line ends; none if the peer announced no attribute that we have. `announced`: what stands behind XFORWARD in its
 *  EHLO reply. */
export function xforwardCommands(announced: string | undefined, envelope: Envelope): readonly string[] {
  const offered = new Set((announced ?? "").toUpperCase().split(/\s+/));
  // A program of this machine is no client, and has no attributes of one.
  if (envelope.origin.uid !== undefined) return offered.has("SOURCE") ? ["XFORWARD SOURCE=LOCAL"] : [];
  const values = attributesOf(originOf(envelope));
  return COMMANDS.flatMap((names) => {
    const words = names.filter((name) => offered.has(name)).map((name) => `${name}=${encodeXtext(values[name])}`);
    return words.length === 0 ? [] : [`XFORWARD ${words.join(" ")}`];
  });
}

/** A filter behind a filter hears of the first client. */
function originOf({ origin, queueId }: Envelope): ForwardedOrigin {
  const { forwarded } = origin;
  if (forwarded) return { ...forwarded, queueId: forwarded.queueId ?? queueId };
  return {
    name: origin.clientName,
    address: origin.clientAddress,
    protocol: origin.protocol,
    helo: origin.helo,
    queueId,
    source: origin.saslUsername === undefined ? "remote" : "local",
  };
}

function attributesOf(origin: ForwardedOrigin): Readonly<Record<(typeof COMMANDS)[number][number], string>> {
  const { address, port } = origin;
  return {
    NAME: known(origin.name),
    ADDR: address?.includes(":") ? `IPv6:${address}` : known(address),
    PORT: port === undefined || port === 0 ? UNAVAILABLE : String(port),
    PROTO: known(origin.protocol),
    HELO: known(origin.helo),
    IDENT: known(origin.queueId),
    SOURCE: origin.source === undefined ? UNAVAILABLE : origin.source.toUpperCase(),
  };
}

function known(value: string | undefined): string {
  return value === undefined || value === "" || value === "unknown" ? UNAVAILABLE : value;
}
