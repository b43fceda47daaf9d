import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseUtcTime } from "../mail/date.ts";
import { parseMailParameters } from "./mail-parameters.ts";
import type { OfferedSubmission } from "./submission-parameters.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const OFFERED: OfferedSubmission = {
  nowMs: NOW,
  futureRelease: { maxMs: 7_776_000_000 },
  deliverBy: { minMs: 60_000 },
  priority: true,
};

function parse(text: string, submission: OfferedSubmission | undefined) {
  return parseMailParameters(text, { smtputf8: false, dsn: true, submission });
}

/** `501 5.5.4`, or what was asked, times as seconds from now. */
function show(text: string): string {
  const outcome = parse(text, OFFERED);
  if (outcome.kind === "bad") return `${outcome.reply.code} ${outcome.reply.dsn}`;
  const { futureRelease, deliverBy, priority } = outcome.value.submission ?? {};
  const seconds = (ms: number) => (ms - NOW) / 1000;
  return [
    ...(futureRelease ? [`${futureRelease.request} ${seconds(futureRelease.untilMs)}`] : []),
    ...(deliverBy ? [`by ${seconds(deliverBy.untilMs)} ${deliverBy.mode}${deliverBy.trace ? " traced" : ""}`] : []),
    ...(priority === undefined ? [] : [`priority ${priority}`]),
  ].join(", ");
}

const rows: readonly { in: string; want: string; why: string }[] = [
  { in: "HOLDFOR=60", want: "for;60 60", why: "FR-02 seconds" },
  { in: "holdfor=1", want: "for;1 1", why: "names in any case" },
  { in: "HOLDFOR=7776000", want: "for;7776000 7776000", why: "the longest" },
  { in: "HOLDFOR=7776001", want: "501 5.5.4", why: "FR-03 longer than the longest" },
  { in: "HOLDFOR=999999999", want: "501 5.5.4", why: "FR-03 nine digits" },
  { in: "HOLDFOR=9999999999", want: "501 5.5.4", why: "FR-03 ten digits" },
  { in: "HOLDFOR=0", want: "501 5.5.4", why: "FR-03 zero" },
  { in: "HOLDFOR=060", want: "501 5.5.4", why: "FR-03 a leading zero" },
  { in: "HOLDFOR=-1", want: "501 5.5.4", why: "FR-03 negative" },
  { in: "HOLDFOR=+1", want: "501 5.5.4", why: "FR-03 a sign" },
  { in: "HOLDFOR=1.5", want: "501 5.5.4", why: "FR-03 a fraction" },
  { in: "HOLDFOR=1e3", want: "501 5.5.4", why: "FR-03 an exponent" },
  { in: "HOLDFOR=1h", want: "501 5.5.4", why: "FR-03 a unit" },
  { in: "HOLDFOR=", want: "501 5.5.4", why: "FR-03 nothing" },
  { in: "HOLDFOR", want: "555 5.5.4", why: "FR-03 no value at all" },
  { in: "HOLDFOR=60 HOLDFOR=60", want: "501 5.5.4", why: "FR-03 twice" },
  { in: "HOLDFOR=60 HOLDUNTIL=2026-11-24T12:01:00Z", want: "501 5.5.4", why: "FR-03 both" },
  { in: "HOLDUNTIL=2026-11-24T12:01:00Z HOLDFOR=60", want: "501 5.5.4", why: "FR-03 both, the other way" },
  { in: "HOLDUNTIL=2026-11-24T12:01:00Z", want: "until;2026-11-24T12:01:00Z 60", why: "FR-02 a time" },
  { in: "HOLDUNTIL=2026-11-24t12:01:00z", want: "until;2026-11-24T12:01:00Z 60", why: "RFC 3339 §5.6: lower case" },
  { in: "HOLDUNTIL=2026-11-24T12:01:00.5Z", want: "until;2026-11-24T12:01:00.5Z 60.5", why: "a fraction" },
  { in: "HOLDUNTIL=2026-12-31T23:59:60Z", want: "until;2026-12-31T23:59:60Z 3240000", why: "a leap second" },
  {
    in: "HOLDUNTIL=2020-01-01T00:00:00Z",
    want: `until;2020-01-01T00:00:00Z ${(Date.UTC(2020, 0) - NOW) / 1000}`,
    why: "past: at once",
  },
  { in: "HOLDUNTIL=2099-01-01T00:00:00Z", want: "501 5.5.4", why: "FR-03 later than the latest" },
  { in: "HOLDUNTIL=tomorrow", want: "501 5.5.4", why: "FR-03 a word" },
  { in: "HOLDUNTIL=2026-11-24", want: "501 5.5.4", why: "FR-03 a day" },
  { in: "HOLDUNTIL=2026-11-24T12:01Z", want: "501 5.5.4", why: "FR-03 no seconds" },
  { in: "HOLDUNTIL=2026-11-24T12:01:00", want: "501 5.5.4", why: "FR-03 no zone" },
  { in: "HOLDUNTIL=2026-11-24T12:01:00+01:00", want: "501 5.5.4", why: "FR-03 not in UTC" },
  { in: "HOLDUNTIL=2026-11-31T12:01:00Z", want: "501 5.5.4", why: "FR-03 no such day" },
  { in: "HOLDUNTIL=2026-11-24T24:00:00Z", want: "501 5.5.4", why: "FR-03 no such hour" },
  { in: "HOLDUNTIL=2026-11-24T12:01:60Z", want: "501 5.5.4", why: "FR-03 no leap second there" },
  { in: "HOLDUNTIL=2026-13-01T00:00:00Z", want: "501 5.5.4", why: "FR-03 no such month" },
  { in: "HOLDUNTIL=", want: "501 5.5.4", why: "FR-03 no time" },
  { in: "BY=120;R", want: "by 120 R", why: "BY-01 return" },
  { in: "BY=+120;RT", want: "by 120 R traced", why: "BY-01 a sign, traced" },
  { in: "by=-30;n", want: "by -30 N", why: "BY-01 late already, only to be told" },
  { in: "BY=0;N", want: "by 0 N", why: "BY-01 now" },
  { in: "BY=000000120;NT", want: "by 120 N traced", why: "BY-01 nine digits" },
  { in: "BY=1;N", want: "by 1 N", why: "BY-02 the minimum is for R" },
  { in: "BY=60;R", want: "by 60 R", why: "BY-02 the minimum" },
  { in: "BY=59;R", want: "555 5.5.4", why: "BY-02 below the minimum" },
  { in: "BY=0;R", want: "501 5.5.4", why: "BY-02 no time at all" },
  { in: "BY=-1;R", want: "501 5.5.4", why: "BY-02 negative" },
  { in: "BY=;R", want: "501 5.5.4", why: "BY-01 no number" },
  { in: "BY=120", want: "501 5.5.4", why: "BY-01 no mode" },
  { in: "BY=120;", want: "501 5.5.4", why: "BY-01 an empty mode" },
  { in: "BY=120;X", want: "501 5.5.4", why: "BY-01 another mode" },
  { in: "BY=120;T", want: "501 5.5.4", why: "BY-01 only a trace" },
  { in: "BY=120;TR", want: "501 5.5.4", why: "BY-01 the wrong order" },
  { in: "BY=1234567890;R", want: "501 5.5.4", why: "BY-01 ten digits" },
  { in: "BY=+-1;N", want: "501 5.5.4", why: "BY-01 two signs" },
  { in: "BY=1.5;N", want: "501 5.5.4", why: "BY-01 a fraction" },
  { in: "BY=", want: "501 5.5.4", why: "BY-01 nothing" },
  { in: "BY", want: "555 5.5.4", why: "BY-01 no value at all" },
  { in: "BY=120;R BY=120;R", want: "501 5.5.4", why: "BY-01 twice" },
  { in: "HOLDFOR=600 BY=60;R", want: "501 5.5.4", why: "FR-05 held beyond its time" },
  { in: "BY=60;N HOLDFOR=61", want: "501 5.5.4", why: "FR-05 also where it is only told" },
  { in: "HOLDFOR=60 BY=60;R", want: "for;60 60, by 60 R", why: "FR-05 just in time" },
  ...Array.from({ length: 19 }, (_, i) => i - 9).map((n) => {
    return { in: `MT-PRIORITY=${n}`, want: `priority ${n}`, why: "PRI-01 each value" };
  }),
  { in: "MT-PRIORITY=10", want: "501 5.5.2", why: "PRI-01 too high" },
  { in: "MT-PRIORITY=-10", want: "501 5.5.2", why: "PRI-01 too low" },
  { in: "MT-PRIORITY=+1", want: "501 5.5.2", why: "PRI-01 a plus" },
  { in: "MT-PRIORITY=01", want: "501 5.5.2", why: "PRI-01 a leading zero" },
  { in: "MT-PRIORITY=-0", want: "501 5.5.2", why: "PRI-01 minus zero" },
  { in: "MT-PRIORITY=high", want: "501 5.5.2", why: "PRI-01 a word" },
  { in: "MT-PRIORITY=", want: "501 5.5.2", why: "PRI-01 nothing" },
  { in: "MT-PRIORITY", want: "555 5.5.4", why: "PRI-01 no value at all" },
  { in: "MT-PRIORITY=1 MT-PRIORITY=1", want: "501 5.5.2", why: "PRI-01 twice" },
  { in: "HOLDFOR=60 BY=90;R MT-PRIORITY=-1 SIZE=5", want: "for;60 60, by 90 R, priority -1", why: "all of them" },
  { in: "SIZE=5", want: "", why: "none of them" },
];
for (const row of rows) {
  test(`parseMailParameters() ${row.why}: ${row.in}`, () => assert.equal(show(row.in), row.want));
}

test("parseMailParameters() EHLO-04: what is not offered is unknown", () => {
  for (const word of ["HOLDFOR=60", "HOLDUNTIL=tomorrow", "BY=60;R", "MT-PRIORITY=0"]) {
    const nothing = { nowMs: NOW, futureRelease: undefined, deliverBy: undefined, priority: false };
    for (const offered of [undefined, nothing]) {
      const outcome = parse(word, offered);
      assert.equal(outcome.kind === "bad" && outcome.reply.lines[0], `Unsupported option: ${word}`);
    }
  }
});

test("parseMailParameters() FR-03 BY-01 PRI-01: any text is taken as it is meant, or refused with 501 or 555", () => {
  const name = fc.constantFrom("HOLDFOR", "HOLDUNTIL", "BY", "MT-PRIORITY");
  const value = fc.oneof(fc.string(), fc.stringMatching(/^[-+]?[0-9]{0,10}(;[NRT]{0,2})?$/), fc.integer().map(String));
  fc.assert(
    fc.property(name, value, (n, v) => {
      const outcome = parse(`${n}=${v.replaceAll(/\s/g, "")}`, OFFERED);
      if (outcome.kind === "bad") return outcome.reply.code === 501 || outcome.reply.code === 555;
      const { futureRelease, deliverBy, priority } = outcome.value.submission ?? {};
      const late = (futureRelease?.untilMs ?? NOW) - NOW;
      const returned = deliverBy?.mode === "R" ? deliverBy.untilMs - NOW : 60_000;
      return late <= 7_776_000_000 && returned >= 60_000 && Math.abs(priority ?? 0) <= 9;
    }),
  );
});

test("parseUtcTime() takes back what a clock says", () => {
  const ms = fc.integer({ min: 0, max: Date.UTC(2999, 0) });
  fc.assert(fc.property(ms, (at) => parseUtcTime(new Date(at).toISOString()) === at));
});
