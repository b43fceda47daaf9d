/** smtpd/milter-macros.ts: the values of the macros that Milters get with the steps of an SMTP session (MILTER_README "Sendmail macro
 *  emulation"). Which are sent when is milter/'s. */
import { type Address, formatAddress } from "../mail/address.ts";
import type { ClientEndpoint } from "../mail/client.ts";
import { type Reply, replyText } from "../mail/reply.ts";
import type { MilterRoute, Session } from "./session.ts";

/** `name` without braces; undefined: it has no value now. */
export function milterMacro(session: Session, name: string): string | undefined {
  const { server, settings, options, user, transaction } = session;
  switch (name) {
    case "j":
      return settings.hostname;
    case "i":
      return transaction?.queueId;
    case "v":
      return options.params.get("milter_macro_v");
    case "daemon_name":
      return options.params.get("milter_macro_daemon_name");
    case "daemon_addr":
      return server.address;
    case "daemon_port":
      return String(server.port);
    case "client_connections":
      return String(session.limits.connections);
    case "auth_type":
      return user?.method;
    case "auth_authen":
      return user?.username;
    case "auth_author":
      return transaction?.start.saslSender;
    default:
      return clientMacro(session.client, name) ?? tlsMacro(session, name) ?? partyMacro(session, name);
  }
}

const RESOLVED: Readonly<Record<ClientEndpoint["nameStatus"], string>> = {
  ...{ verified: "OK", mismatch: "FORGED", temporary: "TEMP", missing: "FAIL" },
};

function clientMacro(client: ClientEndpoint, name: string): string | undefined {
  switch (name) {
    case "_": {
      const forged = client.name.toLowerCase() !== client.reverseName.toLowerCase();
      return `${client.reverseName} [${client.address}]${forged ? " (may be forged)" : ""}`;
    }
    case "client_name":
      return client.name;
    case "client_ptr":
      return client.reverseName;
    case "client_addr":
      return client.address.includes(":") ? `IPv6:${client.address}` : client.address;
    case "client_port":
      return String(client.port);
    case "client_resolve":
      return RESOLVED[client.nameStatus];
    default:
      return undefined;
  }
}

/** A certificate of which nobody knows who made it says nothing. */
function tlsMacro({ tls }: Session, name: string): string | undefined {
  const peer = tls?.peer?.trusted ? tls.peer : undefined;
  switch (name) {
    case "tls_version":
      return tls?.protocol;
    case "cipher":
      return tls?.cipher;
    case "cipher_bits":
      return tls && String(tls.bits);
    case "cert_subject":
      return peer?.subject;
    case "cert_issuer":
      return peer?.issuer;
    default:
      return undefined;
  }
}

function partyMacro({ milterSender, milterRecipient }: Session, name: string): string | undefined {
  const [, whose = "", what = ""] = /^(mail|rcpt)_(addr|host|mailer)$/.exec(name) ?? [];
  const party = whose === "mail" ? milterSender : milterRecipient;
  if (what === "" || !party) return undefined;
  return "refusal" in party ? refusedMacro(party.refusal, what) : routedMacro(party, what);
}

function routedMacro({ address, route }: MilterRoute, what: string): string | undefined {
  if (what === "addr") return external(address);
  return what === "host" ? route?.nexthop : route?.transport;
}

/** `554 5.7.1 <user@example.com>: Relay access denied`: status and text, without the address, cut where Postfix cuts. */
function refusedMacro(refusal: Reply, what: string): string | undefined {
  if (what === "mailer") return "error";
  const [, status, , ...text] = replyText(refusal).split(" ");
  if (what === "host") return status;
  return text.length > 0 ? text.join(" ") : undefined;
}

/** Quoted where it must be; the null address stays empty. */
function external(address: Address): string {
  return address === "" ? "" : formatAddress(address);
}
