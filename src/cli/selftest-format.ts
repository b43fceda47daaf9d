/** cli/selftest-format.ts: results of the self-test for a person: what passed is only counted, what failed is told whole. */
import type { SelftestResult } from "../admin/selftest-player.ts";
import { type Look, paint, wrap } from "./explain-format.ts";

const RED = 31;
const GREEN = 32;

/** A failed row with its dialogue; nothing for the others. */
export function formatFailure(result: SelftestResult, look: Look): string {
  const { ids, what, service, outcome, why, dialogue } = result;
  if (outcome !== "failed") return "";
  const head = wrap(`${paint("FAILED", RED, look)} ${ids.join(", ")}: ${what} (${service})`, "  ", "");
  const lines = dialogue.map((line) => wrap(line, "       ", "  "));
  return `${head}${lines.join("")}${wrap(why, "  ")}`;
}

/** What was skipped, by reason: one restriction can keep many rows away. */
export function formatSkipped(results: readonly SelftestResult[]): string {
  const byReason = new Map<string, string[]>();
  for (const { ids, outcome, why } of results) {
    if (outcome !== "skipped") continue;
    const reason = why.replace(/<[^<>]*>/g, "<...>");
    byReason.set(reason, [...(byReason.get(reason) ?? []), ...ids]);
  }
  const lines = [...byReason].map(([reason, ids]) => wrap(`skipped: ${reason}: ${ids.join(", ")}`, "  ", ""));
  const hint = [...byReason.keys()].some((reason) => reason.includes("Recipient address rejected"));
  return lines.join("") + (hint ? "  (recipients in another domain: --domain)\n" : "");
}

export function formatSummary(
  { passed, failed, skipped }: Readonly<Record<"passed" | "failed" | "skipped", number>>,
  look: Look,
): string {
  const parts = [
    paint(`${passed} passed`, failed === 0 ? GREEN : undefined, look),
    paint(`${failed} failed`, failed > 0 ? RED : undefined, look),
    `${skipped} skipped`,
  ];
  return `${parts.join(", ")}\n`;
}
