/** sasl/backend.ts: what smtpd needs of SASL: announced mechanisms and one exchange at a time. */
import type { SaslIdentity } from "../mail/client.ts";

export interface MechanismProperties {
  readonly name: string;
  readonly plaintext: boolean;
  readonly anonymous: boolean;
  readonly active: boolean;
  readonly dictionary: boolean;
  readonly forwardSecrecy: boolean;
  readonly mutualAuth: boolean;
}

/** Facts of the connection that backends pass on. */
export interface SaslContext {
  readonly clientAddress: string;
  readonly serverAddress: string;
  readonly clientPort: number;
  readonly serverPort: number;
  readonly tls: boolean;
  readonly myhostname: string;
}

export type SaslStep =
  | { readonly kind: "challenge"; readonly challenge: Uint8Array }
  | { readonly kind: "success"; readonly identity: SaslIdentity }
  /** `username` is what the client claimed, for the log line; `temporary` is answered 454, else 535. */
  | {
      readonly kind: "failure";
      readonly temporary: boolean;
      readonly reason: string;
      readonly username?: string | undefined;
    };

export interface SaslExchange {
  /** undefined only for the first call without initial response. Never rejects: a broken backend is a temporary failure. */
  next(response: Uint8Array | undefined): Promise<SaslStep>;
  /** The client aborted or left. */
  close(): void;
}

export interface SaslBackend {
  /** Current mechanisms, strongest first; empty when the backend is not reachable (AUTH then answers 454). */
  mechanisms(): readonly MechanismProperties[];
  /** undefined for a mechanism that is not there. */
  start(mechanism: string, context: SaslContext): SaslExchange | undefined;
  close(): Promise<void>;
}
