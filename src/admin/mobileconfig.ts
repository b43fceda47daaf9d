/** admin/mobileconfig.ts: the profile that Apple's Mail imports (Configuration Profile, payload com.apple.mail.managed). Pure.
 *  It is not signed: the device says so before it asks whether to install it. */
import { createHash } from "node:crypto";
import type { AccountServer, MailAccount } from "./account.ts";
import { loginName } from "./autodiscover.ts";
import { escapeXml } from "./xml.ts";

type PlistValue = string | number | boolean | readonly PlistDictionary[];
type PlistDictionary = Readonly<Record<string, PlistValue>>;

/** undefined: Apple's payload must name a server to read mail at, and none is known. `user`: the device asks without one. */
export function mobileConfig(account: MailAccount, user: string | undefined): string | undefined {
  const [incoming] = account.incoming;
  const [outgoing] = account.outgoing;
  if (incoming === undefined || outgoing === undefined) return undefined;
  const { domain, provider } = account;
  const identifier = `${domain.split(".").reverse().join(".")}.mail`;
  // The same each time: a newer profile takes the place of the older one.
  const uuid = (what: string) => nameUuid(`${what} ${domain} ${user ?? ""}`);
  const mail: PlistDictionary = {
    PayloadType: "com.apple.mail.managed",
    PayloadVersion: 1,
    PayloadIdentifier: `${identifier}.account`,
    PayloadUUID: uuid("account"),
    PayloadDisplayName: provider,
    EmailAccountDescription: provider,
    EmailAccountType: incoming.protocol === "imap" ? "EmailTypeIMAP" : "EmailTypePOP",
    ...(user !== undefined && { EmailAddress: user }),
    ...serverFields("Incoming", incoming, account, user),
    ...serverFields("Outgoing", outgoing, account, user),
    OutgoingPasswordSameAsIncomingPassword: true,
  };
  const profile: PlistDictionary = {
    PayloadType: "Configuration",
    PayloadVersion: 1,
    PayloadIdentifier: identifier,
    PayloadUUID: uuid("profile"),
    PayloadDisplayName: `${provider} mail`,
    PayloadOrganization: provider,
    PayloadRemovalDisallowed: false,
    PayloadContent: [mail],
  };
  const head =
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" ' +
    '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0">\n';
  return `${head}${dictionary(profile, "")}</plist>\n`;
}

function serverFields(
  way: "Incoming" | "Outgoing",
  { host, port, mechanisms }: AccountServer,
  account: MailAccount,
  user: string | undefined,
): PlistDictionary {
  const login = loginName(account, user);
  const cramOnly = mechanisms.includes("CRAM-MD5") && !mechanisms.includes("PLAIN") && !mechanisms.includes("LOGIN");
  return {
    [`${way}MailServerHostName`]: host,
    [`${way}MailServerPortNumber`]: port,
    // Both kinds of TLS: the device finds out which.
    [`${way}MailServerUseSSL`]: true,
    [`${way}MailServerAuthentication`]: cramOnly ? "EmailAuthCRAMMD5" : "EmailAuthPassword",
    ...(login !== undefined && { [`${way}MailServerUsername`]: login }),
  };
}

function dictionary(values: PlistDictionary, indent: string): string {
  const inner = Object.entries(values).map(
    ([key, value]) => `${indent}\t<key>${escapeXml(key)}</key>\n${valueText(value, `${indent}\t`)}`,
  );
  return `${indent}<dict>\n${inner.join("")}${indent}</dict>\n`;
}

function valueText(value: PlistValue, indent: string): string {
  if (typeof value === "string") return `${indent}<string>${escapeXml(value)}</string>\n`;
  if (typeof value === "number") return `${indent}<integer>${value}</integer>\n`;
  if (typeof value === "boolean") return `${indent}<${value}/>\n`;
  return `${indent}<array>\n${value.map((one) => dictionary(one, `${indent}\t`)).join("")}${indent}</array>\n`;
}

/** A UUID that follows from a name (RFC 9562 §5.8, version 8), in Apple's upper case. */
function nameUuid(name: string): string {
  const bytes = createHash("sha256").update(`postern mobileconfig ${name}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex").toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
