/** admin/autodiscover.ts: what Outlook asks for: the POX answer of MS-OXDSCLI (2006a), and the JSON answer of Autodiscover V2 that
 *  sends programs to it. Pure. */
import type { AccountServer, MailAccount } from "./account.ts";
import { element } from "./xml.ts";

const RESPONSE = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
const OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const TYPES = { smtp: "SMTP", imap: "IMAP", pop3: "POP3" } as const;

/** `user`: the mail address that was asked for. Without it no login name is given, and Outlook tries the address. */
export function autodiscoverXml(account: MailAccount, user: string | undefined): string {
  const { provider, incoming, outgoing } = account;
  // Of each protocol the best: what Outlook makes of a second one differs between its versions.
  const first = (protocol: AccountServer["protocol"]) =>
    [...incoming, ...outgoing].filter((server) => server.protocol === protocol).slice(0, 1);
  const servers = [...first("imap"), ...first("pop3"), ...first("smtp")];
  const lines = [
    '<?xml version="1.0" encoding="utf-8"?>',
    `<Autodiscover xmlns="${RESPONSE}">`,
    `  <Response xmlns="${OUTLOOK}">`,
    "    <User>",
    `      ${element("DisplayName", provider)}`,
    "    </User>",
    "    <Account>",
    `      ${element("AccountType", "email")}`,
    `      ${element("Action", "settings")}`,
    ...servers.flatMap((server) => protocolLines(server, loginName(account, user))),
    "    </Account>",
    "  </Response>",
    "</Autodiscover>",
  ];
  return `${lines.join("\n")}\n`;
}

/** What a user logs in with. */
export function loginName({ login }: MailAccount, user: string | undefined): string | undefined {
  return user === undefined || login === "address" ? user : user.slice(0, user.lastIndexOf("@"));
}

function protocolLines(
  { protocol, host, port, security }: AccountServer,
  login: string | undefined,
): readonly string[] {
  const fields = [
    element("Type", TYPES[protocol]),
    element("Server", host),
    element("Port", port),
    element("DomainRequired", "off"),
    ...(login === undefined ? [] : [element("LoginName", login)]),
    element("SPA", "off"), // secure password authentication is NTLM
    element("SSL", "on"),
    element("Encryption", security === "tls" ? "SSL" : "TLS"), // "TLS" is STARTTLS
    element("AuthRequired", "on"),
  ];
  return ["      <Protocol>", ...fields.map((field) => `        ${field}`), "      </Protocol>"];
}

export interface AutodiscoverJson {
  readonly status: 200 | 400;
  readonly body: string;
}

/** The answer to `/autodiscover/autodiscover.json?Protocol=…`. For Exchange's protocols it says no, so that programs go on to
 *  IMAP and SMTP instead of asking for a password that we never get. */
export function autodiscoverJson({ domain }: MailAccount, protocol: string): AutodiscoverJson {
  if (protocol.toLowerCase() === "autodiscoverv1") {
    const url = `https://autodiscover.${domain}/autodiscover/autodiscover.xml`;
    return { status: 200, body: `${JSON.stringify({ Protocol: "AutodiscoverV1", Url: url })}\n` };
  }
  const error = {
    ErrorCode: "ProtocolNotSupported",
    ErrorMessage: "The given protocol is not supported; supported is AutodiscoverV1",
  };
  return { status: 400, body: `${JSON.stringify(error)}\n` };
}
