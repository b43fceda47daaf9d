/** smtpd/reject-footer.ts: smtpd_reject_footer and smtpd_reject_footer_maps (postconf(5)): text behind 4xx and 5xx replies, with
 *  the reply's code and status on each line. `\n` begins a line, `\c` in front continues the last line of the reply. */

import type { Facts } from "../access/access.ts";
import { expandMacros, parseExpansionFilter, sessionMacros } from "../access/expand-macros.ts";
import type { Clock } from "../base/clock.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { formatReply, type Reply } from "../mail/reply.ts";
import { type Answer, type LookupTable, TableError, type TableOpener } from "../tables/table.ts";

/** Lines that a template may add. */
const MAX_LINES = 100;
/** Longest line of a reply without CRLF (RFC 5321 §4.5.3.1.5), and room for code and status. */
const MAX_LINE_CHARS = 490;

export interface RejectFooter {
  /** The refusal with its footer. A promise only if a table gives one. Never throws. */
  add(reply: Reply, facts: () => Facts): Reply | Promise<Reply>;
  /** The same for replies that cannot wait: tables that answer later are not asked. */
  addNow(reply: Reply, facts: () => Facts): Reply;
}

export interface RejectFooterDeps {
  readonly tables: TableOpener;
  readonly log: Log;
  readonly clock: Clock;
}

/** undefined where no footer is configured. */
export function createRejectFooter(params: Parameters, deps: RejectFooterDeps): RejectFooter | undefined {
  const template = params.get("smtpd_reject_footer");
  const maps = params.get("smtpd_reject_footer_maps");
  if (template === "" && maps.length === 0) return undefined;
  return new Footer(params, template, deps);
}

class Footer implements RejectFooter {
  readonly #template: string;
  readonly #tables: readonly LookupTable[];
  readonly #filter: ReadonlySet<string>;
  readonly #serverName: string;
  readonly #log: Log;
  readonly #clock: Clock;

  constructor(params: Parameters, template: string, { tables, log, clock }: RejectFooterDeps) {
    this.#template = template;
    this.#tables = params.get("smtpd_reject_footer_maps").map((ref) => tables.open(ref));
    this.#filter = parseExpansionFilter(params.get("smtpd_expansion_filter"));
    this.#serverName = params.get("myhostname");
    this.#log = log;
    this.#clock = clock;
  }

  add(reply: Reply, facts: () => Facts): Reply | Promise<Reply> {
    if (reply.code < 400) return reply;
    const found = this.#find(keyOf(reply), 0);
    if (found instanceof Promise) return found.then((template) => this.#append(reply, template, facts));
    return this.#append(reply, found, facts);
  }

  addNow(reply: Reply, facts: () => Facts): Reply {
    if (reply.code < 400) return reply;
    const found = this.#find(keyOf(reply), 0);
    return this.#append(reply, found instanceof Promise ? undefined : found, facts);
  }

  /** The template that a table has for this reply. A table that fails is logged, and has none. */
  #find(key: string, from: number): Answer | Promise<Answer> {
    for (let i = from; i < this.#tables.length; i++) {
      const table = this.#tables[i];
      try {
        const answer = table?.get(key);
        if (answer instanceof Promise) {
          return answer.then(
            (value) => value ?? this.#find(key, i + 1),
            (error: unknown) => this.#failed(table, key, error),
          );
        }
        if (answer !== undefined) return answer;
      } catch (error) {
        return this.#failed(table, key, error);
      }
    }
    return undefined;
  }

  #failed(table: LookupTable | undefined, key: string, error: unknown): undefined {
    if (!(error instanceof TableError)) throw error;
    this.#log.warning(`${table?.ref} lookup error for "${printableAscii(key)}": ${printableAscii(error.message)}`);
    return undefined;
  }

  #append(reply: Reply, found: string | undefined, facts: () => Facts): Reply {
    const template = found ?? this.#template;
    if (template === "") return reply;
    const macros = sessionMacros({ facts: facts(), serverName: this.#serverName, now: this.#clock.now() });
    const continued = template.startsWith("\\c");
    try {
      const added = (continued ? template.slice(2) : template)
        .split("\\n", MAX_LINES)
        .map((line) => printableAscii(expandMacros(line, macros, this.#filter)).slice(0, MAX_LINE_CHARS));
      return { ...reply, lines: continued ? joined(reply.lines, added) : [...reply.lines, ...added] };
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      this.#log.warning(`smtpd_reject_footer: ${printableAscii(error.message)}`);
      return reply;
    }
  }
}

/** The whole reply, as it would be sent. */
function keyOf(reply: Reply): string {
  return formatReply(reply).trimEnd();
}

/** The first added line stands behind the last one of the reply. */
function joined(lines: readonly string[], added: readonly string[]): readonly string[] {
  const last = `${lines.at(-1) ?? ""}${added[0] ?? ""}`;
  return [...lines.slice(0, -1), last, ...added.slice(1)];
}
