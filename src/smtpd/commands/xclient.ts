/** smtpd/commands/xclient.ts: XCLIENT (XCLIENT_README): a trusted host says who the client really is. The session then
 *  begins anew, greeting included, as if that client had connected: access, limits, log and headers know only him. */
import type { ClientEndpoint, ServerEndpoint } from "../../mail/client.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { dataError } from "../data-error.ts";
import {
  type Attribute,
  badName,
  badValue,
  type Read,
  readAddress,
  readName,
  readPort,
  readText,
  splitAttributes,
  TEMPORARILY_UNAVAILABLE,
  UNAVAILABLE,
} from "../forwarded-attributes.ts";
import { recognise } from "../identify.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";

/** As announced, in Postfix's order. */
export const XCLIENT_KEYWORD = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";

const UNKNOWN = "unknown";

/** The session as the command makes it. */
interface Change {
  client: ClientEndpoint;
  server: ServerEndpoint;
  helo: string | undefined;
  protocol: "SMTP" | "ESMTP";
  login: string | undefined;
}

type Setter = (change: Change, attribute: Attribute) => Reply | undefined;

const SETTERS: ReadonlyMap<string, Setter> = new Map<string, Setter>([
  ["NAME", setName],
  ["REVERSE_NAME", setReverseName],
  [
    "ADDR",
    (change, attribute) =>
      take(readAddress(attribute), (address) => {
        change.client = { ...change.client, address: address ?? UNKNOWN };
      }),
  ],
  [
    "PORT",
    (change, attribute) =>
      take(readPort(attribute), (port) => {
        change.client = { ...change.client, port };
      }),
  ],
  [
    "HELO",
    (change, attribute) =>
      take(readText(attribute), (helo) => {
        change.helo = helo ?? undefined;
      }),
  ],
  ["PROTO", setProtocol],
  [
    "LOGIN",
    (change, { value }) => {
      if (value.toUpperCase() !== UNAVAILABLE) change.login = value;
      return undefined;
    },
  ],
  [
    "DESTADDR",
    (change, attribute) =>
      take(readAddress(attribute), (address) => {
        change.server = { ...change.server, address: address ?? UNKNOWN };
      }),
  ],
  [
    "DESTPORT",
    (change, attribute) =>
      take(readPort(attribute), (port) => {
        change.server = { ...change.server, port };
      }),
  ],
]);

/** Order of tests as Postfix. */
export async function runXclient(session: Session, args: string): Promise<HandlerResult> {
  if (session.transaction) return replyWith(reply(503, "5.5.1", "Error: MAIL transaction in progress"));
  if (args === "") return answer(501, "5.5.4", "Syntax: XCLIENT attribute=value...");
  if (session.xclientAllowed === undefined) {
    session.log.warning(`don't know if command XCLIENT should be allowed from ${session.peer}`);
    return dataError(session);
  }
  if (!session.xclientAllowed) return replyWith(reply(550, "5.7.0", "Error: insufficient authorization"));
  const split = splitAttributes(args);
  if ("refused" in split) return replyWith(split.refused);
  const change: Change = {
    client: session.client,
    server: session.server,
    helo: undefined,
    protocol: "SMTP",
    login: undefined,
  };
  for (const attribute of split.value) {
    const set = SETTERS.get(attribute.name);
    const refused = set ? set(change, attribute) : badName("XCLIENT", attribute);
    if (refused) return replyWith(refused);
  }
  await become(session, change);
  return { kind: "greetAgain" };
}

/** What is not told of the new client is reset to what a new session has. */
async function become(session: Session, change: Change): Promise<void> {
  session.startOver();
  const { client } = change;
  const reverseOnly = client.nameStatus === "missing" && client.reverseName !== UNKNOWN;
  session.client = reverseOnly ? { ...client, nameStatus: "mismatch" } : client;
  session.server = change.server;
  session.helo = change.helo === undefined ? undefined : session.printable(change.helo);
  session.protocol = change.protocol;
  if (change.login !== undefined) session.user = { method: "XCLIENT", username: change.login };
  await recognise(session);
}

function take<T>(read: Read<T>, set: (value: T) => void): Reply | undefined {
  if ("refused" in read) return read.refused;
  set(read.value);
  return undefined;
}

/** The verified name, which is then the reverse name too. */
function setName(change: Change, attribute: Attribute): Reply | undefined {
  if (attribute.value.toUpperCase() === TEMPORARILY_UNAVAILABLE) {
    change.client = { ...change.client, name: UNKNOWN, nameStatus: "temporary" };
    return undefined;
  }
  return take(readName(attribute), (name) => {
    change.client =
      name === null
        ? { ...change.client, name: UNKNOWN, nameStatus: "missing" }
        : { ...change.client, name, reverseName: name, nameStatus: "verified" };
  });
}

function setReverseName(change: Change, attribute: Attribute): Reply | undefined {
  const temporary = attribute.value.toUpperCase() === TEMPORARILY_UNAVAILABLE;
  return take(temporary ? { value: null } : readName(attribute), (reverseName) => {
    change.client = { ...change.client, reverseName: reverseName ?? UNKNOWN };
  });
}

function setProtocol(change: Change, attribute: Attribute): Reply | undefined {
  const protocol = attribute.value.toUpperCase();
  if (protocol !== "SMTP" && protocol !== "ESMTP") return badValue(attribute);
  change.protocol = protocol;
  return undefined;
}
