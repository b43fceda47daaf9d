/** cli/dns-format.ts: what `postern dns check` prints: what is wrong first to the eye, and records as lines that can be copied. */

import type { DnsReport } from "../admin/dns-check.ts";
import type { DnsFinding, DnsSite, FindingState } from "../admin/dns-finding.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type Look, paint, wrap } from "./explain-format.ts";

const COLOURS: Partial<Readonly<Record<FindingState, number>>> = { ok: 32, wrong: 31, missing: 31, unknown: 33 };
const STATE_WIDTH = 10;
const TOPIC_WIDTH = 9;
const MAX_SHOWN = 20;
const MAX_TEXT = 1000;
const INDENT = " ".repeat(STATE_WIDTH + TOPIC_WIDTH);

export function formatReport(site: DnsSite, { addresses, findings }: DnsReport, look: Look): string {
  const from = addresses.length > 0 ? `, which sends from ${addresses.join(" and ")}` : "";
  const through = from === "" && site.relayhost !== "" ? `, which sends through ${site.relayhost}` : "";
  const head = wrap(printableUtf8(`${site.domain}: ${site.host}${from}${through}`), "  ", "");
  return `${head}\n${findings.map((one) => formatFinding(one, look)).join("")}\n${summary(findings)}`;
}

function formatFinding({ state, topic, name, found, why, publish }: DnsFinding, look: Look): string {
  const [only, ...more] = shownOf(found);
  const isShort = more.length === 0 && only !== undefined && only.length + name.length < 70;
  const what = isShort ? `${name}: ${only}` : name;
  const first = wrap(printableUtf8(what), `${INDENT}  `, `${state.padEnd(STATE_WIDTH)}${topic.padEnd(TOPIC_WIDTH)}`);
  const lines = isShort ? [] : shownOf(found).map((one) => wrap(printableUtf8(one), `${INDENT}    `, `${INDENT}  `));
  const reason = why === "" ? [] : [wrap(printableUtf8(why), INDENT)];
  // Never wrapped: they are copied.
  const records = publish.map((line) => `${INDENT}publish: ${printableUtf8(line)}\n`);
  return [first.replace(state, paint(state, COLOURS[state], look)), ...lines, ...reason, ...records].join("");
}

/** What fits a screen; the whole is in --json. */
function shownOf(found: readonly string[]): readonly string[] {
  const texts = found.slice(0, MAX_SHOWN).map((one) => (one.length > MAX_TEXT ? `${one.slice(0, MAX_TEXT)}…` : one));
  return found.length > MAX_SHOWN ? [...texts, `… and ${found.length - MAX_SHOWN} more`] : texts;
}

function summary(findings: readonly DnsFinding[]): string {
  const count = (...states: readonly FindingState[]) => findings.filter(({ state }) => states.includes(state)).length;
  const [problems, unknown, optional] = [count("wrong", "missing"), count("unknown"), count("optional")];
  const parts = [
    problems === 0 ? "no problem found" : `${problems} ${problems === 1 ? "problem" : "problems"}`,
    ...(unknown === 0 ? [] : [`${unknown} ${unknown === 1 ? "question" : "questions"} open, try again`]),
    ...(optional === 0 ? [] : [`${optional} optional ${optional === 1 ? "entry" : "entries"} not there`]),
  ];
  return `postern: dns check: ${parts.join(", ")}\n`;
}

export function reportAsJson(site: DnsSite, { addresses, findings }: DnsReport): string {
  const { domain, host } = site;
  return `${JSON.stringify({ domain, host, addresses, findings }, undefined, 2)}\n`;
}
