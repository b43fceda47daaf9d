/** master/check-tables.ts: what opening the lookup tables of a configuration tells, as problems with their places: a table that
 *  cannot be opened is an error, a line of it that is skipped a warning. A file that is missing was reported with the
 *  parameter that names it (config/check-files.ts). */
import { systemClock } from "../base/clock.ts";
import { scopeOf } from "../config/load.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem, SourceRef } from "../config/snapshot.ts";
import { Log } from "../log/log.ts";

/** Listens to the warnings of a table opener while lists are compiled. */
export class TableFindings {
  readonly #lines: string[] = [];
  /** For the table opener. */
  readonly log = new Log({ sink: ({ text }) => this.#lines.push(text), now: systemClock.now, tag: "check", id: 0 });

  problems(snapshot: ConfigSnapshot): readonly Problem[] {
    const missing = new Set<string>();
    for (const image of snapshot.files.values()) {
      if ("error" in image) missing.add(`open ${image.path}: ${image.error}`);
    }
    return this.#lines.flatMap((line): Problem[] => {
      const [, ref, reason = ""] = /^(.+?) is unavailable\. (.*)$/s.exec(line) ?? [];
      if (ref !== undefined) {
        // Advice may follow the reason.
        if (missing.has(reason.replace(/;.*$/s, ""))) return [];
        const text = reason.startsWith(ref) ? reason : `${ref}: ${reason}`;
        const at = whereNamed(ref, snapshot);
        // Only a default names it, such as nis:mail.aliases: config/check-files.ts has warned, and no start may fail of it.
        return at === undefined ? [] : [{ severity: "error", at, text }];
      }
      const [, file, number, what = ""] = /^(?:\w+ map )?(\/.*?), line (\d+): (.*)$/s.exec(line) ?? [];
      if (file === undefined) return [{ severity: "warning", at: undefined, text: line }];
      return [{ severity: "warning", at: { file, line: Number(number) }, text: what }];
    });
  }
}

/** The line that names the table, -o settings first; undefined where only a default does. */
function whereNamed(ref: string, snapshot: ConfigSnapshot): SourceRef | undefined {
  const scopes = snapshot.services.map((service) => ({ service, settings: service.overrides }));
  for (const { service, settings } of [...scopes, { service: undefined, settings: snapshot.mainCf.toReversed() }]) {
    const params = scopeOf(snapshot, service);
    const named = settings.find(({ value }) => value.includes(ref) || expanded(value, params).includes(ref));
    if (named) return named.at;
  }
  return undefined;
}

/** "" for a value whose `$` forms are broken, which is reported elsewhere. */
function expanded(value: string, params: Parameters): string {
  try {
    return params.expand(value);
  } catch (error) {
    if (error instanceof ParameterError) return "";
    throw error;
  }
}
