/** smtp/connect.ts: the TCP connection to a target, from the own address that smtp_bind_address names. */
import type { Deadlines } from "../base/deadlines.ts";
import type { Log } from "../log/log.ts";
import { ClientConnection, ConnectionError } from "../net/client-connection.ts";
import type { Target } from "./session.ts";
import type { Settings } from "./settings.ts";

export interface ConnectParts {
  readonly settings: Settings;
  readonly deadlines: Deadlines;
  readonly log: Log;
}

/** The own address cannot be used, and must be (smtp_bind_address_enforce). */
export class OwnAddressError extends Error {
  override readonly name = "OwnAddressError";
}

/** Rejects ConnectionError, OwnAddressError. */
export async function connectTo(target: Target, options: ConnectParts): Promise<ClientConnection> {
  const { settings, log } = options;
  const own = target.address.includes(":") ? settings.bindAddress6 : settings.bindAddress;
  if (own === "" || target.port === undefined) return connectFrom(undefined, target, options);
  try {
    return await connectFrom(own, target, options);
  } catch (cause) {
    if (!(cause instanceof ConnectionError) || !isBindFailure(cause)) throw cause;
    log.warning(`smtp_connect_addr: bind ${own}: ${cause.message}`);
    if (settings.bindEnforce) throw new OwnAddressError();
    return connectFrom(undefined, target, options);
  }
}

/** Node tells the failures of bind(2) and of connect(2) apart by their name only. */
function isBindFailure({ cause }: ConnectionError): boolean {
  return cause instanceof Error && "syscall" in cause && cause.syscall === "bind";
}

function connectFrom(
  localAddress: string | undefined,
  { address, port }: Target,
  { settings, deadlines }: ConnectParts,
): Promise<ClientConnection> {
  return ClientConnection.open({
    peer: port === undefined ? { path: address } : { address, port },
    deadlines,
    timeoutMs: settings.timeouts.connectMs,
    localAddress,
  });
}
