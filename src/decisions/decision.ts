/** decisions/decision.ts: one decision about a recipient, as it is kept: who asked for what, what was answered, by which rule.
 *  No content of mail, no password. One JSON object on a line; text that clients sent stays as it was, JSON escapes it. */
import type { ClientEndpoint, SaslIdentity } from "../mail/client.ts";

export type DecisionResult = "accepted" | "rejected" | "deferred";

export interface RecordedDecision {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Service name of master.cf. */
  readonly service: string;
  readonly stage: "rcpt";
  readonly client: Pick<ClientEndpoint, "address" | "name" | "reverseName" | "nameStatus">;
  readonly helo?: string | undefined;
  readonly tls?: { readonly certificate?: string | undefined } | undefined;
  readonly login?: SaslIdentity | undefined;
  /** As between the angle brackets. */
  readonly sender: string;
  readonly recipient: string;
  /** SIZE= of MAIL. */
  readonly size?: number | undefined;
  readonly result: DecisionResult;
  /** Reply code. */
  readonly code: number;
  /** Actions on the message: "hold", "filter smtp:[127.0.0.1]:10025" … */
  readonly effects?: readonly string[] | undefined;
  readonly rule?: { readonly text: string; readonly at: string; readonly parameter: string } | undefined;
}

/** Whoever keeps decisions. */
export interface DecisionKeeper {
  /** False: nothing need be made for take(). */
  readonly wanted: boolean;
  /** Never throws, never waits. */
  take(decision: RecordedDecision): void;
}

/** With its line end. */
export function formatDecision(decision: RecordedDecision): string {
  return `${JSON.stringify(decision)}\n`;
}

const RESULTS = ["accepted", "rejected", "deferred"];

/** undefined for a line that a crash cut off, or that is none of ours. */
export function parseDecision(line: string): RecordedDecision | undefined {
  let value: Partial<RecordedDecision> | null;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { at, service, client, sender, recipient, result } = value;
  const texts = [service, client?.address, client?.name, client?.reverseName, sender, recipient];
  if (typeof at !== "number" || texts.some((text) => typeof text !== "string")) return undefined;
  return RESULTS.includes(result ?? "") ? (value as RecordedDecision) : undefined;
}
