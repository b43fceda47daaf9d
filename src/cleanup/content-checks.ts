/** cleanup/content-checks.ts: header_checks(5) and the MIME limits of one service, opened once. Where nothing is configured there
 *  is no such thing, and mail streams past unread. What happens to one message is content-inspection.ts. */

import type { Parameters } from "../config/parameters.ts";
import type { ParameterName } from "../config/registry.ts";
import { type Answer, type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import { parseCheckAction } from "./check-action.ts";
import type { MimeFault, MimeLimits } from "./mime-structure.ts";

export interface ContentChecks {
  /** undefined: not checked. */
  readonly header: CheckMaps | undefined;
  readonly mimeHeader: CheckMaps | undefined;
  readonly nestedHeader: CheckMaps | undefined;
  readonly body: CheckMaps | undefined;
  /** body_checks_size_limit: bytes at the start of each segment; 0: all. */
  readonly bodySizeLimit: number;
  readonly limits: MimeLimits;
  /** Faults for which a message is refused. */
  readonly faults: ReadonlySet<MimeFault>;
}

/** undefined: nothing is checked, or receive_override_options has no_header_body_checks. */
export function createContentChecks(params: Parameters, tables: TableOpener): ContentChecks | undefined {
  if (params.get("receive_override_options").includes("no_header_body_checks")) return undefined;
  const maps = {
    header: openMaps("header_checks", params, tables),
    mimeHeader: openMaps("mime_header_checks", params, tables),
    nestedHeader: openMaps("nested_header_checks", params, tables),
    body: openMaps("body_checks", params, tables),
  };
  const strict = strictFaults(params);
  if (strict.length === 0 && Object.values(maps).every((map) => map === undefined)) return undefined;
  return {
    ...maps,
    bodySizeLimit: params.get("body_checks_size_limit"),
    limits: mimeLimits(params),
    faults: new Set(["nesting", ...strict]),
  };
}

/** The checks of a client transport (smtp_header_checks and its like); undefined: none. MIME faults are no matter there. */
export function createDeliveryChecks(
  params: Parameters,
  tables: TableOpener,
  protocol: "smtp" | "lmtp",
): ContentChecks | undefined {
  const maps = {
    header: openMaps(`${protocol}_header_checks`, params, tables),
    mimeHeader: openMaps(`${protocol}_mime_header_checks`, params, tables),
    nestedHeader: openMaps(`${protocol}_nested_header_checks`, params, tables),
    body: openMaps(`${protocol}_body_checks`, params, tables),
  };
  if (Object.values(maps).every((map) => map === undefined)) return undefined;
  return { ...maps, bodySizeLimit: 0, limits: { ...mimeLimits(params), disabled: false }, faults: new Set() };
}

/** How a message is taken apart. */
export function mimeLimits(params: Parameters): MimeLimits {
  return {
    lineLimit: params.get("line_length_limit"),
    fieldLimit: params.get("header_size_limit"),
    nestingLimit: params.get("mime_nesting_limit"),
    boundaryLimit: params.get("mime_boundary_length_limit"),
    disabled: params.get("disable_mime_input_processing"),
  };
}

function strictFaults(params: Parameters): readonly MimeFault[] {
  const both = params.get("strict_8bitmime");
  const faults: MimeFault[] = [];
  if (both || params.get("strict_7bit_headers")) faults.push("8bit-header");
  if (both || params.get("strict_8bitmime_body")) faults.push("8bit-body");
  if (params.get("strict_mime_encoding_domain")) faults.push("encoding");
  return faults;
}

/** milter_header_checks; undefined: none. */
export function createMilterChecks(params: Parameters, tables: TableOpener): CheckMaps | undefined {
  return openMaps("milter_header_checks", params, tables);
}

type CheckParameter = Extract<ParameterName, `${string}header_checks` | `${string}body_checks`>;

function openMaps(name: CheckParameter, params: Parameters, tables: TableOpener): CheckMaps | undefined {
  const refs = params.get(name);
  return refs.length === 0 ? undefined : new CheckMaps(name, refs, tables);
}

/** The tables of one parameter; the first that knows the line answers. */
export class CheckMaps {
  readonly name: string;
  readonly #tables: readonly LookupTable[];

  constructor(name: string, refs: readonly string[], tables: TableOpener) {
    this.name = name;
    this.#tables = refs.map((ref) => tables.open(ref));
  }

  /** The action for a line; empty lines never match. A promise only if a table gives one. Throws or rejects TableError,
   *  also for an empty value: Postfix takes it for a table that is broken. */
  find(line: string): Answer | Promise<Answer> {
    return line === "" ? undefined : this.#findFrom(line, 0);
  }

  /** Values that no line can make an action of, and why. */
  unusable(): readonly string[] {
    const what = this.name.endsWith("body_checks") ? "body" : "header";
    const scope = /^[sl]mtp_/.test(this.name) ? "delivery" : this.name.startsWith("milter_") ? "milter" : undefined;
    const context = { map: this.name, what, scope } as const;
    const values = this.#tables.flatMap(({ entries = new Map(), rules = [] }) => [
      ...entries.values(),
      ...rules.map(({ value }) => value),
    ]);
    return values.flatMap((value: string) => {
      // What a match puts there is not known yet.
      if (value.includes("$")) return [];
      const action = value === "" ? undefined : parseCheckAction(value, context);
      const warning =
        action === undefined
          ? `empty action in ${this.name} map: what matches it is deferred`
          : "warning" in action && action.warning;
      return warning ? [warning] : [];
    });
  }

  #findFrom(line: string, from: number): Answer | Promise<Answer> {
    for (let i = from; i < this.#tables.length; i++) {
      const answer = this.#tables[i]?.get(line);
      if (answer instanceof Promise) {
        return answer.then((value) => this.#valid(value, line) ?? this.#findFrom(line, i + 1));
      }
      const value = this.#valid(answer, line);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #valid(value: Answer, line: string): Answer {
    if (value === "") throw new EmptyResult(`${this.name} lookup of ${line} returns an empty string result`);
    return value;
  }
}

/** What tables that can be read say that is no action, one text each, with the parameter that names the table. */
export function unusableActions(
  maps: readonly (CheckMaps | undefined)[],
): readonly { readonly parameter: string; readonly text: string }[] {
  return maps.flatMap((one) =>
    one === undefined ? [] : one.unusable().map((text) => ({ parameter: one.name, text })),
  );
}

/** A table's value is empty. */
export class EmptyResult extends TableError {}
