/** config/params/proxy.ts: the parameters of the before-queue content filter (SMTPD_PROXY_README), each declared once. */
import { type Declaration, ParameterError, text, time, words } from "../declare.ts";
import { parseInetService } from "../inet-name.ts";

function checkAddress(value: string, name: string): string {
  if (value === "" || /^unix:./.test(value)) return value;
  const inet = parseInetService(value.replace(/^inet:/, ""), "");
  if (inet === undefined || inet.port === 0) {
    throw new ParameterError(`bad ${name} value "${value}"; specify host:port, inet:host:port or unix:path`);
  }
  return value;
}

export const PROXY_PARAMETERS = {
  smtpd_proxy_filter: {
    ...text(
      "",
      "Server that gets mail before it is queued, and whose answer the client gets: host:port, inet:host:port, unix:path (relative to queue_directory). Empty: none.",
    ),
    parse: checkAddress,
  },
  smtpd_proxy_ehlo: text("$myhostname", "The name in EHLO to smtpd_proxy_filter."),
  smtpd_proxy_timeout: time(
    "100s",
    "s",
    { min: 1000 },
    "Time limit for a connection to smtpd_proxy_filter, and for each of its answers.",
  ),
  smtpd_proxy_options: words(
    "",
    ["speed_adjust"],
    "speed_adjust: take the whole message first, in a temporary file, and call smtpd_proxy_filter then, so that slow clients keep no filter busy.",
  ),
} satisfies Record<string, Declaration<unknown>>;
