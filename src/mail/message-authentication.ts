/** mail/message-authentication.ts: what SPF, DKIM, DMARC and ARC say of a message from elsewhere: the interface between who finds it out
 *  (authentication/), the restrictions that refuse by it (access/) and the room that writes it on top of the message (cleanup/). */

import type { Awaitable } from "../base/awaitable.ts";

/** Results in the words of RFC 8601 §2.7.2. */
export type SpfResult = "pass" | "fail" | "softfail" | "neutral" | "none" | "temperror" | "permerror";

/** One identity, as SPF judges it. */
export interface SpfCheck {
  readonly identity: "helo" | "mailfrom";
  readonly result: SpfResult;
  /** The domain that was asked; "" for none. */
  readonly domain: string;
  /** For humans; remote text that is not yet printable. */
  readonly comment: string;
  /** The methodspec of RFC 8601, one line. */
  readonly field: string;
}

export interface DmarcCheck {
  readonly result: "pass" | "fail" | "none" | "temperror" | "permerror";
  /** What the domain asks for where its mail fails. */
  readonly policy: "none" | "quarantine" | "reject";
  /** Of the author; "" where From names no single one. */
  readonly domain: string;
  /** Why From names no domain that can be judged: DMARC-02 treats such mail as failed. */
  readonly noAuthor?: string | undefined;
}

export interface AuthenticationVerdict {
  readonly dmarc: DmarcCheck;
  /** "none": the message carries no ARC set. */
  readonly arc: "none" | "pass" | "fail";
  /** The whole Authentication-Results field, folded with CRLF, without its final CRLF; UTF-8. */
  readonly field: string;
}

/** A header field as it came: lower-case name; the whole field in latin1, without its final CRLF. */
export interface CameField {
  readonly name: string;
  readonly text: string;
}

/** One message on its way in. */
export interface MessageAuthentication {
  /** False for those whose mail is not judged: clients that are trusted, and whoever logged in. */
  readonly judged: boolean;
  /** HELO and MAIL FROM by SPF; asked once. Rejects only NotAsked, for sessions that are played through. */
  spf(): Promise<readonly SpfCheck[]>;
  /** Takes the header section as it came; returns it without the results that only this system may give (RFC 8601 §5). */
  header<F extends CameField>(fields: readonly F[]): Awaitable<readonly F[]>;
  /** The body as it came, piece by piece. */
  update(chunk: Uint8Array): void;
  /** Ends the body; asked once. undefined where the mail is not judged. Never rejects but for bugs. */
  verdict(): Promise<AuthenticationVerdict | undefined>;
  /** Makes the ARC set of the message as it will be stored: takes the body that is stored, then all fields, and resolves to those to be put on
   *  top of them. undefined: it is not sealed. May be begun again when the body changes. */
  beginSeal(): MessageSeal | undefined;
  /** The field to put on top, as in AuthenticationVerdict; undefined: none. */
  resultsField(): Promise<string | undefined>;
}

export interface MessageSeal {
  update(chunk: Uint8Array): void;
  sign(fields: readonly CameField[]): Promise<{ readonly kind: "signed"; readonly fields: readonly string[] }>;
}

/** Who sends. */
export interface SenderFacts {
  readonly clientAddress: string;
  readonly helo: string | undefined;
  /** "" for the null sender. */
  readonly sender: string;
  /** undefined: nobody logged in. */
  readonly login: string | undefined;
  /** The client is in postern_authentication_trusted_clients. */
  readonly trusted: boolean;
}

export interface MessageAuthenticator {
  begin(sender: SenderFacts): MessageAuthentication;
}
