/** sasl/passwords.ts: what mechanisms need to know of accounts, and nothing more. Mechanisms are written against this
 *  interface, so their RFC vectors run without a file or a thread. Names and passwords arrive prepared (prepare.ts). */

/** The account store does not answer; the client hears a temporary failure, never "wrong password". */
export interface Unavailable {
  readonly kind: "unavailable";
  /** For the log and the 454 reply: no path, no secret. */
  readonly reason: string;
}

/** `login` is the account's name as stored, which may be longer than what the client gave (smtpd_sasl_local_domain). */
export type PasswordVerdict =
  | { readonly kind: "match"; readonly login: string }
  | { readonly kind: "mismatch" }
  | Unavailable;

/** RFC 5802 §3: what a server keeps instead of a password. */
export interface ScramKeys {
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export type ScramLookup =
  /** `login` is undefined for an unknown user, whose keys are made up and look like everybody's. */
  { readonly kind: "keys"; readonly login: string | undefined; readonly keys: ScramKeys } | Unavailable;

export type CramLookup =
  | { readonly kind: "secret"; readonly login: string; readonly secret: Uint8Array }
  | { readonly kind: "none" }
  | Unavailable;

export interface Passwords {
  /** Takes as long for an unknown user as for a wrong password. */
  verify(username: string, password: string): Promise<PasswordVerdict>;
  cramSecret(username: string): CramLookup;
  scramKeys(username: string): ScramLookup;
}
