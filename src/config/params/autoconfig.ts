/** config/params/autoconfig.ts: what mail programs are told when they set up an account (`postern autoconfig`), each parameter
 *  declared once. What submission looks like follows from master.cf; the rest of an account is not ours, and is named here. */
import { type Declaration, list, ParameterError, splitList, text, word } from "../declare.ts";

/** A server that users read their mail at. */
export interface MailStoreServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte; else STARTTLS. */
  readonly implicitTls: boolean;
}

const HOST = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/i;
/** With TLS from the first byte (RFC 8314 §3.2, §3.1). */
export const IMAP_PORT = 993;
export const POP3_PORT = 995;
const STARTTLS_PORTS: ReadonlySet<number> = new Set([143, 110]);

/** `host` or `host:port`; undefined for what is neither. Port 143 or 110 means STARTTLS. */
export function parseMailStore(item: string, defaultPort: number): MailStoreServer | undefined {
  const [, host = "", portText] = /^([^:]+)(?::(\d{1,5}))?$/.exec(item) ?? [];
  const port = portText === undefined ? defaultPort : Number(portText);
  if (!HOST.test(host) || port < 1 || port > 65_535) return undefined;
  return { host: host.toLowerCase(), port, implicitTls: !STARTTLS_PORTS.has(port) };
}

function mailStores(defaultPort: number, doc: string): Declaration<readonly MailStoreServer[]> {
  return {
    ...list("", doc, { origin: "postern" }),
    parse: (value, name) =>
      splitList(value, name).map((item) => {
        const server = parseMailStore(item, defaultPort);
        if (server !== undefined) return server;
        throw new ParameterError(`bad configuration: ${name} = ${value}: "${item}" is no host:port`);
      }),
  };
}

export const AUTOCONFIG_PARAMETERS = {
  postern_autoconfig_host: text(
    "$myhostname",
    "The name by which mail programs reach the submission services: it stands in the documents of `postern autoconfig` and in SRV " +
      "records, and certificates must be for it.",
    { origin: "postern" },
  ),
  postern_autoconfig_name: text("$mydomain", "What mail programs show as the name of the provider.", {
    origin: "postern",
  }),
  postern_autoconfig_login: word(
    "address",
    ["address", "localpart"],
    "What users log in with: the whole mail address, or what is before the `@`. PACC knows only addresses.",
    { origin: "postern" },
  ),
  postern_autoconfig_imap: mailStores(
    IMAP_PORT,
    "IMAP servers of the users, `host` or `host:port`, best first. Port 143 means STARTTLS, every other one TLS from the first byte. " +
      "Empty: accounts are described without; Thunderbird and Apple's programs then cannot use the documents.",
  ),
  postern_autoconfig_pop3: mailStores(POP3_PORT, "POP3 servers, as postern_autoconfig_imap; port 110 means STARTTLS."),
} satisfies Record<string, Declaration<unknown>>;
