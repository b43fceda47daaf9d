/** admin/pacc.ts: PACC (draft-ietf-mailmaint-pacc): a JSON document at ua-auto-config.DOMAIN, and the TXT record that vouches for
 *  its bytes. Pure. The draft changes: up to -02 submission is called "smtp", from -03 on "submit"; both are written, readers
 *  pass over what they do not know. */
import { createHash } from "node:crypto";
import type { AccountServer, MailAccount } from "./account.ts";

/** No ports are written: these are meant, with TLS from the first byte. */
const PORTS = { smtp: 465, imap: 993, pop3: 995 } as const;
const NAME_LIMIT = 60;

/** The bytes to serve, or why there is no document. The same account gives the same bytes, as the digest demands. */
export function paccDocument(account: MailAccount): string | { readonly problem: string } {
  if (account.login !== "address") return { problem: "PACC wants mail addresses as login names" };
  const submission = hostOf(account.outgoing, "smtp");
  if (submission === undefined) return { problem: "PACC knows only submission on port 465 with smtpd_tls_wrappermode" };
  const [imap, pop3] = [hostOf(account.incoming, "imap"), hostOf(account.incoming, "pop3")];
  const document = {
    protocols: {
      ...(imap !== undefined && { imap: { host: imap } }),
      ...(pop3 !== undefined && { pop3: { host: pop3 } }),
      smtp: { host: submission },
      submit: { host: submission },
    },
    authentication: { password: true },
    info: { provider: { name: account.provider.slice(0, NAME_LIMIT) } },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Text of the TXT record at `_ua-auto-config.DOMAIN`. */
export function paccDigest(document: string): string {
  return `v=UAAC1; a=sha256; d=${createHash("sha256").update(document).digest("base64")}`;
}

function hostOf(servers: readonly AccountServer[], protocol: AccountServer["protocol"]): string | undefined {
  return servers.find((one) => one.protocol === protocol && one.security === "tls" && one.port === PORTS[protocol])
    ?.host;
}
