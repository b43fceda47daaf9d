/** local/command-environment.ts: what a command of an alias finds in its environment about the message (local(8)). */
import { domainOf, localPartOf } from "../mail/address.ts";
import { splitExtension } from "../tables/keys.ts";
import type { PipeValues } from "./pipe-arguments.ts";

const OF_MESSAGE = [
  ...["client_address", "client_helo", "client_hostname", "client_protocol"],
  ...["sasl_method", "sasl_sender", "sasl_username"],
];

/** Each character that is not in `allowed` becomes `_`. */
export function messageVariables(
  { sender, recipients, message }: PipeValues,
  { allowed, delimiter }: { readonly allowed: string; readonly delimiter: string },
): Readonly<Record<string, string>> {
  const [recipient] = recipients;
  if (!recipient) return {};
  const local = localPartOf(recipient.address);
  const split = splitExtension(local, delimiter);
  const user = split?.base ?? local;
  const values: Record<string, string> = {
    ...{ SENDER: sender, RECIPIENT: recipient.address, ORIGINAL_RECIPIENT: recipient.original || recipient.address },
    ...{ USER: user, LOGNAME: user, LOCAL: local, DOMAIN: domainOf(recipient.address) ?? "" },
    EXTENSION: split?.extension.slice(1) ?? "",
  };
  for (const name of OF_MESSAGE) values[name.toUpperCase()] = message[name] ?? "";
  const kept = new Set(allowed);
  const clean = (text: string) => [...text].map((c) => (kept.has(c) ? c : "_")).join("");
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, clean(value)]));
}
