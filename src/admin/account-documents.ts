/** admin/account-documents.ts: all that mail programs may ask for about one account, by format. Pure. */
import type { MailAccount } from "./account.ts";
import { autodiscoverJson, autodiscoverXml } from "./autodiscover.ts";
import { mobileConfig } from "./mobileconfig.ts";
import { paccDigest, paccDocument } from "./pacc.ts";
import { srvLine, srvRecords } from "./srv-records.ts";
import { thunderbirdConfig } from "./thunderbird.ts";
import { zoneText } from "./zone-line.ts";

export const DOCUMENT_FORMATS = ["thunderbird", "autodiscover", "mobileconfig", "pacc", "srv"] as const;
export type DocumentFormat = (typeof DOCUMENT_FORMATS)[number];

export interface AccountDocument {
  readonly fileName: string;
  readonly mediaType: string;
  readonly text: string;
}

export interface AccountDocuments {
  readonly documents: readonly AccountDocument[];
  /** Why there is none, or what it will not do. */
  readonly notes: readonly string[];
}

const SET_IMAP = "set postern_autoconfig_imap, or give --imap HOST";

/** `user`: a mail address, or undefined for what serves all users. */
export function accountDocuments(
  format: DocumentFormat,
  account: MailAccount,
  user: string | undefined,
): AccountDocuments {
  switch (format) {
    case "thunderbird":
      return thunderbird(account);
    case "autodiscover":
      return autodiscover(account, user);
    case "mobileconfig":
      return apple(account, user);
    case "pacc":
      return pacc(account);
    default:
      return zone(account);
  }
}

function thunderbird(account: MailAccount): AccountDocuments {
  const notes =
    account.incoming.length > 0
      ? []
      : [`Thunderbird wants a server to read mail at, too, or asks the user; ${SET_IMAP}`];
  return {
    documents: [{ fileName: "config-v1.1.xml", mediaType: "text/xml", text: thunderbirdConfig(account) }],
    notes,
  };
}

function autodiscover(account: MailAccount, user: string | undefined): AccountDocuments {
  const json = autodiscoverJson(account, "AutodiscoverV1").body;
  return {
    documents: [
      { fileName: "autodiscover.xml", mediaType: "text/xml", text: autodiscoverXml(account, user) },
      { fileName: "autodiscover.json", mediaType: "application/json", text: json },
    ],
    notes:
      user === undefined && account.login === "localpart"
        ? ["autodiscover.xml names no login, and Outlook then tries the whole address; give --user"]
        : [],
  };
}

function apple(account: MailAccount, user: string | undefined): AccountDocuments {
  const text = mobileConfig(account, user);
  if (text === undefined)
    return { documents: [], notes: [`no .mobileconfig: Apple's format wants a server to read mail at; ${SET_IMAP}`] };
  const fileName = `${account.domain}.mobileconfig`;
  return { documents: [{ fileName, mediaType: "application/x-apple-aspen-config", text }], notes: [] };
}

function pacc(account: MailAccount): AccountDocuments {
  const text = paccDocument(account);
  if (typeof text !== "string") return { documents: [], notes: [`no PACC document: ${text.problem}`] };
  const record = zoneText(`_ua-auto-config.${account.domain}`, paccDigest(text));
  return {
    documents: [
      { fileName: "user-agent-configuration.json", mediaType: "application/json", text },
      { fileName: "pacc.zone", mediaType: "text/dns", text: `${record}\n` },
    ],
    notes: [],
  };
}

function zone(account: MailAccount): AccountDocuments {
  const lines = srvRecords(account).map((record) => `${srvLine(record)}\n`);
  return { documents: [{ fileName: "srv.zone", mediaType: "text/dns", text: lines.join("") }], notes: [] };
}
