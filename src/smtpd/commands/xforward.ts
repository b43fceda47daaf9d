/** smtpd/commands/xforward.ts: XFORWARD (XFORWARD_README): a trusted host, mostly a content filter, says where the mail
 *  of the next transaction came from. Kept for log lines and with the message; decides nothing here. */
import type { ForwardedOrigin } from "../../mail/envelope.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { dataError } from "../data-error.ts";
import {
  type Attribute,
  badName,
  badValue,
  readAddress,
  readName,
  readPort,
  readText,
  splitAttributes,
  UNAVAILABLE,
} from "../forwarded-attributes.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";

/** As announced, in Postfix's order. */
export const XFORWARD_KEYWORD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT";

const MAX_PROTOCOL = 64;

type Change = { -readonly [K in keyof ForwardedOrigin]: ForwardedOrigin[K] };

/** Order of tests as Postfix. Several commands add up. */
export function runXforward(session: Session, args: string): HandlerResult {
  if (session.transaction) return replyWith(reply(503, "5.5.1", "Error: MAIL transaction in progress"));
  if (args === "") return answer(501, "5.5.4", "Syntax: XFORWARD attribute=value...");
  if (session.xforwardAllowed === undefined) {
    session.log.warning(`don't know if command XFORWARD should be allowed from ${session.peer}`);
    return dataError(session);
  }
  if (!session.xforwardAllowed) return replyWith(reply(550, "5.7.0", "Error: insufficient authorization"));
  const split = splitAttributes(args);
  if ("refused" in split) return replyWith(split.refused);
  const change: Change = { ...session.forwarded };
  for (const attribute of split.value) {
    const refused = set(change, attribute);
    if (refused) return replyWith(refused);
  }
  session.forwarded = change;
  return answer(250, "2.0.0", "Ok");
}

function set(change: Change, attribute: Attribute): Reply | undefined {
  switch (attribute.name) {
    case "NAME":
      return setText(change, "name", readName(attribute));
    case "ADDR":
      return setText(change, "address", readAddress(attribute));
    case "PROTO":
      return setText(change, "protocol", readText(attribute, MAX_PROTOCOL));
    case "HELO":
      return setText(change, "helo", readText(attribute));
    case "IDENT":
      return setText(change, "queueId", readText(attribute));
    case "PORT":
      return setPort(change, attribute);
    case "SOURCE":
      return setSource(change, attribute);
    default:
      return badName("XFORWARD", attribute);
  }
}

/** What is known to be unavailable is "unknown" in log lines; a queue id or HELO is then left out. */
function setText(
  change: Change,
  member: "name" | "address" | "protocol" | "helo" | "queueId",
  read: ReturnType<typeof readText>,
): Reply | undefined {
  if ("refused" in read) return read.refused;
  const optional = member === "helo" || member === "queueId";
  change[member] = read.value ?? (optional ? undefined : "unknown");
  return undefined;
}

function setPort(change: Change, attribute: Attribute): Reply | undefined {
  const read = readPort(attribute);
  if ("refused" in read) return read.refused;
  change.port = read.value;
  return undefined;
}

function setSource(change: Change, attribute: Attribute): Reply | undefined {
  const source = attribute.value.toUpperCase();
  if (source !== "LOCAL" && source !== "REMOTE" && source !== UNAVAILABLE) return badValue(attribute);
  change.source = source === "LOCAL" ? "local" : source === "REMOTE" ? "remote" : undefined;
  return undefined;
}
