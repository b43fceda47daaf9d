/** proof/scenario.ts: the questions of the proof (design §8): which kind of client, to which kind of destination, and the one
 *  concrete client and message that stands for a choice of the client. Values only. */
import type { Facts } from "../access/access.ts";
import { type Address, asAddress } from "../mail/address.ts";
import type { TlsPeer, TlsSession } from "../mail/client.ts";

export type ClientClass = "stranger" | "strangerTls" | "certificate" | "login" | "mynetworks";
/** "named": foreign domains for which an access table has an entry of its own. */
export type Destination = "local" | "relay" | "foreign" | "named";

export interface Host {
  readonly address: string;
  /** Verified name, "unknown" if there is none. */
  readonly name: string;
  /** The name that its owner put into the PTR record. */
  readonly reverseName: string;
}

/** What one client chose, or is. Each part is one object or string of the choices, so that parts can be compared. */
export interface Candidate {
  readonly host: Host;
  /** undefined: no HELO was sent. */
  readonly helo: string | undefined;
  readonly sender: string;
  readonly recipient: string;
  /** undefined: no certificate. */
  readonly peer: TlsPeer | undefined;
}

export interface Scene {
  readonly client: ClientClass;
  readonly destination: Destination;
  readonly tls: boolean;
  readonly saslEnabled: boolean;
}

const TLS: Omit<TlsSession, "peer"> = {
  protocol: "TLSv1.3",
  cipher: "TLS_AES_256_GCM_SHA384",
  bits: 256,
  reused: false,
};

/** Who logs in where the proof needs a login. */
const SOME_LOGIN = "someone";

/** The facts of a RCPT command of this client. */
export function factsOf({ host, helo, sender, recipient, peer }: Candidate, scene: Scene): Facts {
  const { address, name, reverseName } = host;
  const nameStatus = name !== "unknown" ? "verified" : reverseName !== "unknown" ? "mismatch" : "missing";
  return {
    client: { address, port: 49152, name, reverseName, nameStatus },
    server: { address: "192.0.2.25", port: 25 },
    protocol: "ESMTP",
    command: "RCPT",
    helo,
    sender: asAddress(sender),
    recipient: asAddress(recipient) as Address,
    recipientCount: 0,
    sasl: scene.client === "login" ? { method: "PLAIN", username: SOME_LOGIN } : undefined,
    saslEnabled: scene.saslEnabled,
    tls: scene.tls ? { ...TLS, peer } : undefined,
    sizeBytes: undefined,
    queueId: undefined,
    earlyTalker: false,
  };
}
