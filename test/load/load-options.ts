/** test/load/load-options.ts: what a load is: to whom, how much, over how many sessions, and whom to tell. */
export interface LoadOptions {
  readonly host?: string;
  readonly port: number;
  /** Connections at the same time; default 1. */
  readonly sessions?: number;
  /** Messages that are to be accepted (or finally refused) in all. */
  readonly messages: number;
  /** Size of a message's content, header included; at least 200; default 4096. */
  readonly sizeBytes?: number;
  /** Messages before QUIT; default 1. Infinity: as many as there are. */
  readonly perConnection?: number;
  /** Default "none". Certificates are not verified: this is a load tool. */
  readonly tls?: "none" | "starttls" | "implicit";
  /** AUTH PLAIN on every connection. */
  readonly auth?: { readonly login: string; readonly password: string };
  readonly from?: string;
  readonly to?: string | readonly string[];
  /** Beginning of every id; default: unique to this process and call. */
  readonly idPrefix?: string;
  /** Tries again after errors, 4xx replies and lost connections; without it such a message counts as failed. */
  readonly retry?: boolean;
  /** Called for each 250 that ends a message. */
  readonly onAccepted?: (id: string) => void;
  /** Called with a one-line reason for each attempt that was not accepted. */
  readonly onError?: (reason: string) => void;
  /** Ends the run early: open connections are cut. */
  readonly signal?: AbortSignal;
}
