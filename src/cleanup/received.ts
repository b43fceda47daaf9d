/** cleanup/received.ts: the Received header field (RFC 5321 §4.4), laid out as Postfix does.
 *  What Node cannot tell about TLS (signature and digest of the server's key exchange) is left out. */
import type { Parameters } from "../config/parameters.ts";
import { formatAddress } from "../mail/address.ts";
import type { TlsSession } from "../mail/client.ts";
import { formatMailDate } from "../mail/date.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableAscii, printableUtf8 } from "../mail/printable.ts";
import type { MessageOptions } from "./cleanup.ts";

/** The field with its folding, without the final CRLF; UTF-8 if the envelope is SMTPUTF8, else ASCII. */
export function receivedField(options: MessageOptions, params: Parameters): string {
  const { envelope, recipients, accepted, tls } = options;
  const { origin } = envelope;
  if (origin.uid !== undefined) return receivedFromUser(envelope, origin.uid, params);
  const safe = envelope.smtputf8 ? printableUtf8 : printableAscii;
  // A message that a before-queue filter gets has none.
  const id = envelope.queueId === "" ? "" : ` id ${envelope.queueId}`;
  const host = `by ${params.get("myhostname")} (${params.get("mail_name")})`;
  const hidden = params.get("smtpd_hide_client_session");
  const lines = hidden ? [] : sessionLines(options, params, safe);
  lines.push(hidden ? `Received: ${host}${id}` : `${host} with ${withProtocol(envelope, tls)}${id}`);
  const named = accepted ?? recipients;
  const only = named.length === 1 ? named[0] : undefined;
  const date = formatMailDate(envelope.arrivalMs);
  // RFC 6710 §4.1; such a clause stands last (RFC 5321 §4.4).
  const priority = envelope.priority === undefined ? "" : ` PRIORITY ${envelope.priority}`;
  if (only) lines.push(`for <${safe(formatAddress(only.original))}>${priority}; ${date}`);
  else lines.push(`${lines.pop()}${priority};`, date);
  return lines.join("\r\n\t");
}

/** Who the client was: what smtpd_hide_client_session leaves out. */
function sessionLines({ envelope, tls }: MessageOptions, params: Parameters, safe: (text: string) => string): string[] {
  const { origin } = envelope;
  const lines = [
    `Received: from ${safe(origin.helo ?? origin.clientName)} (${origin.clientName} [${literal(origin.clientAddress)}])`,
  ];
  if (tls && params.get("smtpd_tls_received_header")) lines.push(...tlsLines(tls, safe));
  if (origin.saslUsername !== undefined && params.get("smtpd_sasl_authenticated_header")) {
    lines.push(`(Authenticated sender: ${comment(safe(origin.saslUsername))})`);
  }
  return lines;
}

/** Submitted by a program of this machine, as pickup(8) writes it. */
function receivedFromUser({ queueId, arrivalMs }: Envelope, uid: number, params: Parameters): string {
  const by = `by ${params.get("myhostname")} (${params.get("mail_name")}, from userid ${uid})`;
  return `Received: ${by}\r\n\tid ${queueId}; ${formatMailDate(arrivalMs)}`;
}

/** IPv6 addresses carry the tag of RFC 5321 §4.1.3. */
function literal(address: string): string {
  return address.includes(":") ? `IPv6:${address}` : address;
}

function tlsLines(tls: TlsSession, safe: (text: string) => string): string[] {
  const head = `(using ${tls.protocol} with cipher ${tls.cipher} (${tls.bits}/${tls.bits} bits)`;
  const exchange = tls.keyExchange === undefined ? [`${head})`] : [head, ` key-exchange ${tls.keyExchange})`];
  return [...exchange, certificateLine(tls, safe)];
}

function certificateLine({ peer, peerAsked }: TlsSession, safe: (text: string) => string): string {
  if (peer === undefined) {
    return peerAsked ? "(Client did not present a certificate)" : "(No client certificate requested)";
  }
  const name = (text: string) => `"${comment(safe(text))}"`;
  const verdict = peer.trusted ? "verified OK" : "not verified";
  return `(Client CN ${name(peer.subject)}, Issuer ${name(peer.issuer)} (${verdict}))`;
}

/** RFC 3848 and RFC 6531 §4.3 keywords. */
function withProtocol(envelope: Envelope, tls: TlsSession | undefined): string {
  if (envelope.origin.protocol !== "ESMTP") return envelope.origin.protocol;
  const base = envelope.smtputf8 ? "UTF8SMTP" : "ESMTP";
  return `${base}${tls ? "S" : ""}${envelope.origin.saslUsername === undefined ? "" : "A"}`;
}

/** Inside a comment, parentheses and backslashes would change its extent (RFC 5322 §3.2.2). */
function comment(text: string): string {
  return text.replace(/[()\\]/g, "?");
}
