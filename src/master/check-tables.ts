/** master/check-tables.ts: what opening the lookup tables of a service tells, as problems with their places: a table that
 *  cannot be opened is an error, a line of it that is skipped a warning. A file that is missing was reported with the
 *  parameter that names it (config/check-files.ts). */
import { systemClock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem, ServiceEntry, SourceRef } from "../config/snapshot.ts";
import { Log } from "../log/log.ts";

/** Listens to the warnings of a table opener while lists are compiled. */
export class TableFindings {
  readonly #lines: string[] = [];
  /** For the table opener. */
  readonly log = new Log({ sink: ({ text }) => this.#lines.push(text), now: systemClock.now, tag: "check", id: 0 });

  problems(params: Parameters, snapshot: ConfigSnapshot, service: ServiceEntry): readonly Problem[] {
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
        const at = whereNamed(ref, params, snapshot, service);
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
function whereNamed(
  ref: string,
  params: Parameters,
  snapshot: ConfigSnapshot,
  service: ServiceEntry,
): SourceRef | undefined {
  const named = [...service.overrides, ...snapshot.mainCf.toReversed()].find(({ value }) => {
    return value.includes(ref) || params.expand(value).includes(ref);
  });
  return named?.at;
}
