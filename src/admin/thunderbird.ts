/** admin/thunderbird.ts: the document that Thunderbird, Evolution, KMail and K-9 look for at autoconfig.DOMAIN
 *  (config-v1.1.xml, draft-ietf-mailmaint-autoconfig). Pure. */
import type { AccountServer, MailAccount } from "./account.ts";
import { element, escapeXml } from "./xml.ts";

/** `%EMAILADDRESS%` and `%EMAILLOCALPART%` are the program's to fill in, so one document serves all users. */
export function thunderbirdConfig(account: MailAccount): string {
  const { domain, provider, incoming, outgoing } = account;
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<clientConfig version="1.1">',
    `  <emailProvider id="${escapeXml(domain)}">`,
    `    ${element("domain", domain)}`,
    `    ${element("displayName", provider)}`,
    `    ${element("displayShortName", provider)}`,
    ...incoming.flatMap((server) => serverLines("incomingServer", server, account)),
    ...outgoing.flatMap((server) => serverLines("outgoingServer", server, account)),
    "  </emailProvider>",
    "</clientConfig>",
  ];
  return `${lines.join("\n")}\n`;
}

function serverLines(kind: string, server: AccountServer, { login }: MailAccount): readonly string[] {
  const { protocol, host, port, security } = server;
  return [
    `    <${kind} type="${protocol}">`,
    `      ${element("hostname", host)}`,
    `      ${element("port", port)}`,
    `      ${element("socketType", security === "tls" ? "SSL" : "STARTTLS")}`,
    `      ${element("username", login === "address" ? "%EMAILADDRESS%" : "%EMAILLOCALPART%")}`,
    ...methods(server).map((method) => `      ${element("authentication", method)}`),
    `    </${kind}>`,
  ];
}

/** In the program's words, the one that works for every user first: not each has a secret for CRAM-MD5. */
function methods({ mechanisms }: AccountServer): readonly string[] {
  const has = (...names: readonly string[]) => names.some((name) => mechanisms.includes(name));
  const found = [
    ...(has("PLAIN", "LOGIN") ? ["password-cleartext"] : []),
    ...(has("CRAM-MD5", "DIGEST-MD5") ? ["password-encrypted"] : []),
    ...(has("GSSAPI") ? ["GSSAPI"] : []),
    ...(has("NTLM") ? ["NTLM"] : []),
    ...(has("EXTERNAL") ? ["TLS-client-cert"] : []),
  ];
  return found.length > 0 ? found : ["password-cleartext"];
}
