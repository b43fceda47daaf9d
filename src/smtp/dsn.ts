/** smtp/dsn.ts: what the client asked about delivery reports, passed on to a server that knows DSN (RFC 3461 §5.2.1), and
 *  what a success there means where the server does not. */
import { formatAddress } from "../mail/address.ts";
import type { DeliveryRecipient, RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { encodeUtf8Address, encodeXtext } from "../mail/xtext.ts";
import type { Protocol } from "./settings.ts";

type Features = ReadonlyMap<string, string>;

/** ` ENVID=… RET=…` of MAIL, as far as the client gave them. */
export function mailParameters(features: Features, { dsn }: Envelope): string {
  if (dsn === undefined || !features.has("DSN")) return "";
  const envid = dsn.envid === undefined ? "" : ` ENVID=${encodeXtext(dsn.envid)}`;
  return dsn.ret === undefined ? envid : `${envid} RET=${dsn.ret}`;
}

/** ` ORCPT=… NOTIFY=…` of RCPT. As Postfix, ORCPT is always given: the address as it came, if nothing else. */
export function rcptParameters(
  features: Features,
  { original, dsn }: DeliveryRecipient,
  { notifyDelay }: { readonly notifyDelay: boolean } = { notifyDelay: false },
): string {
  if (!features.has("DSN")) return "";
  const orcpt = encodeOrcpt(dsn?.orcpt ?? implicitOrcpt(formatAddress(original)));
  // Without NOTIFY a server may keep delays to itself.
  const wanted = dsn?.notify ?? (notifyDelay ? ["FAILURE", "DELAY"] : undefined);
  const notify = wanted === undefined ? "" : ` NOTIFY=${wanted.join(",")}`;
  return `${orcpt === undefined ? "" : ` ORCPT=${orcpt}`}${notify}`;
}

function implicitOrcpt(original: string): string {
  return `${/[^\x00-\x7f]/.test(original) ? "utf-8" : "rfc822"};${original}`;
}

/** undefined: there is no address. */
function encodeOrcpt(orcpt: string): string | undefined {
  const [, type, address = ""] = /^([A-Za-z0-9-]+);(.+)$/s.exec(orcpt) ?? [];
  if (type === undefined) return undefined;
  return `${type};${type.toLowerCase() === "utf-8" ? encodeUtf8Address(address) : encodeXtext(address)}`;
}

/** Who reports a success: the server, if it knows DSN; a server of LMTP delivers for good (RFC 2033). */
export function successAction(features: Features, protocol: Protocol): RcptOutcome["dsnAction"] {
  if (features.has("DSN")) return "passedOn";
  return protocol === "lmtp" ? undefined : "relayed";
}
