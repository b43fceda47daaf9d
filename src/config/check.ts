/** config/check.ts: everything that can be said about a snapshot without running it, all at once (design §7).
 *  Names are check-names.ts, values check-values.ts, services check-services.ts, tables and files check-files.ts.
 *  Who can relay is not said here: that is proof/. */

import { checkCacheDestinations } from "./check-cache.ts";
import { checkClasses } from "./check-classes.ts";
import { checkFiles } from "./check-files.ts";
import { checkNames } from "./check-names.ts";
import { checkSasl } from "./check-sasl.ts";
import { checkServices } from "./check-services.ts";
import { checkValues } from "./check-values.ts";
import type { ConfigSnapshot, Problem, SourceRef } from "./snapshot.ts";

/** Sorted by file and line; each finding once. */
export function checkSnapshot(snapshot: ConfigSnapshot): Problem[] {
  const found = [
    ...checkLevel(snapshot),
    ...checkNames(snapshot),
    ...checkValues(snapshot),
    ...checkCacheDestinations(snapshot),
    ...checkClasses(snapshot),
    ...checkSasl(snapshot),
    ...checkServices(snapshot),
    ...checkFiles(snapshot),
  ];
  const once = new Map(found.map((problem) => [formatProblem(problem), problem]));
  return [...once.values()].sort((a, b) => comparePlaces(a.at, b.at));
}

/** `file:line: severity: text; hint`. */
export function formatProblem(problem: Problem): string {
  return withPlace(problem, `${problem.severity}: `);
}

/** `file:line: text; hint`, for a log that says the severity itself. */
export function problemText(problem: Problem): string {
  return withPlace(problem, "");
}

function withPlace({ at, text, hint }: Problem, severity: string): string {
  const place = at ? `${at.file}:${at.line}: ` : "";
  return `${place}${severity}${text}${hint === undefined ? "" : `; ${hint}`}`;
}

/** What has no place comes first. */
function comparePlaces(a: SourceRef | undefined, b: SourceRef | undefined): number {
  const [x, y] = [a?.file ?? "", b?.file ?? ""];
  if (x !== y) return x < y ? -1 : 1;
  return (a?.line ?? 0) - (b?.line ?? 0);
}

function checkLevel(snapshot: ConfigSnapshot): Problem[] {
  if (snapshot.mainCf.some(({ name }) => name === "compatibility_level")) return [];
  return [
    {
      severity: "warning",
      at: { file: "main.cf", line: 1 },
      text: "compatibility_level is not set: the defaults are those of Postfix 2.x (level 0)",
      hint: "set compatibility_level = 3.6 once the newer defaults are wanted",
    },
  ];
}
