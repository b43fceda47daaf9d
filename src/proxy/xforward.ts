/** proxy/xforward.ts: where a client's mail comes from, as the filter is told it (XFORWARD_README), in smtpd(8)'s order. */
import type { ForwardedOrigin } from "../mail/envelope.ts";
import { encodeXtext } from "../mail/xtext.ts";

const UNAVAILABLE = "[UNAVAILABLE]";
/** RFC 5321 §4.5.3.1.4, without line end. */
const MAX_COMMAND = 510;

/** Without line ends; none if the filter announced no attribute. `announced`: what stands behind XFORWARD in its EHLO reply. */
export function xforwardCommands(announced: string | undefined, origin: ForwardedOrigin): readonly string[] {
  const offered = new Set((announced ?? "").toUpperCase().split(/\s+/));
  const commands: string[] = [];
  let command = "XFORWARD";
  for (const [name, value] of attributesOf(origin)) {
    if (!offered.has(name)) continue;
    const word = ` ${name}=${encodeXtext(value)}`;
    if (command !== "XFORWARD" && command.length + word.length > MAX_COMMAND) {
      commands.push(command);
      command = "XFORWARD";
    }
    command += word;
  }
  return command === "XFORWARD" ? commands : [...commands, command];
}

function attributesOf({ name, address, port, helo, queueId, protocol, source }: ForwardedOrigin) {
  return [
    ["NAME", known(name)],
    ["ADDR", address?.includes(":") ? `IPv6:${address}` : known(address)],
    ["PORT", port === undefined || port === 0 ? UNAVAILABLE : String(port)],
    ["HELO", known(helo)],
    ["IDENT", known(queueId)],
    ["PROTO", known(protocol)],
    ["SOURCE", source === undefined ? UNAVAILABLE : source.toUpperCase()],
  ] as const;
}

function known(value: string | undefined): string {
  return value === undefined || value === "" || value === "unknown" ? UNAVAILABLE : value;
}
