/** local/pipe-arguments.ts: the arguments of a command of pipe(8): macros of its template filled with what is known of the message. An
 *  argument that names a recipient becomes one for each. No shell, and nothing of a value is looked at again. */
import { PIPE_MACRO, type PipeCommand, RECIPIENT_MACROS } from "../config/pipe-command.ts";
import { type Address, asAddress, domainOf, formatAddress, localPartOf } from "../mail/address.ts";
import { splitExtension } from "../tables/keys.ts";

export interface PipeValues {
  readonly sender: Address;
  readonly nexthop: string;
  readonly recipients: readonly { readonly address: Address; readonly original: Address }[];
  /** Macros that are the same for all recipients, by name. */
  readonly message: Readonly<Record<string, string>>;
}

/** `delimiter`: $recipient_delimiter. */
export function pipeArguments(
  { argv, flags, nullSender }: Pick<PipeCommand, "argv" | "flags" | "nullSender">,
  { sender, nexthop, recipients, message }: PipeValues,
  delimiter: string,
): readonly string[] {
  const external = (address: Address) => (flags.has("q") ? formatAddress(address) : address);
  const common: Readonly<Record<string, string>> = {
    ...message,
    sender: sender === "" ? (nullSender === "" ? "" : external(asAddress(nullSender))) : external(sender),
    nexthop: flags.has("h") ? nexthop.toLowerCase() : nexthop,
  };
  const own = recipients.map((recipient) => recipientMacros(recipient, { flags, delimiter, external }));
  return argv.flatMap((word) => {
    const names = [...word.matchAll(PIPE_MACRO)].map(([, a, b, c]) => a ?? b ?? c ?? "");
    if (!names.some((name) => RECIPIENT_MACROS.has(name))) return [fill(word, common)];
    return own.map((macros) => fill(word, { ...common, ...macros }));
  });
}

function recipientMacros(
  { address, original }: { readonly address: Address; readonly original: Address },
  context: {
    readonly flags: ReadonlySet<string>;
    readonly delimiter: string;
    readonly external: (address: Address) => string;
  },
): Readonly<Record<string, string>> {
  const { flags, delimiter, external } = context;
  const folded = fold(address, flags);
  const mailbox = localPartOf(folded);
  const split = splitExtension(mailbox, delimiter);
  return {
    recipient: external(folded),
    original_recipient: external(fold(original === "" ? address : original, flags)),
    mailbox,
    user: split?.base ?? mailbox,
    extension: split?.extension.slice(1) ?? "",
    domain: domainOf(folded) ?? "",
  };
}

/** u: the local part, h: the domain, to lower case. */
function fold(address: Address, flags: ReadonlySet<string>): Address {
  const local = flags.has("u") ? localPartOf(address).toLowerCase() : localPartOf(address);
  const domain = domainOf(address);
  if (domain === undefined) return asAddress(local);
  return asAddress(`${local}@${flags.has("h") ? domain.toLowerCase() : domain}`);
}

function fill(word: string, values: Readonly<Record<string, string>>): string {
  return word.replace(PIPE_MACRO, (whole, a?: string, b?: string, c?: string) => {
    if (whole === "$$") return "$";
    const name = a ?? b ?? c ?? "";
    // An argument ends at a NUL, and nothing else is special without a shell.
    return Object.hasOwn(values, name) ? (values[name] ?? "").replaceAll("\0", "?") : "";
  });
}
