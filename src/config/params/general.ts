/** config/params/general.ts: parameters that every room reads. */
import { bool, type Declaration, list, text } from "../declare.ts";

export const GENERAL_PARAMETERS = {
  myhostname: text("localhost", "The name of this mail system, fully qualified. The default comes from the machine."),
  mydomain: text("localdomain", "The domain part of $myhostname."),
  mail_name: text("Postern", "The product name in the banner and in Received headers."),
  inet_interfaces: list("all", "Addresses that this server listens on and calls its own.", { restart: true }),
  smtputf8_enable: bool(
    "${{$compatibility_level} <level {1} ? {no} : {yes}}",
    "Announce SMTPUTF8 (RFC 6531) and accept addresses and headers in UTF-8.",
  ),
} satisfies Record<string, Declaration<unknown>>;
