/** access/rbl-reply.ts: the reply to a client that a DNS list lists: a template from rbl_reply_maps, or default_rbl_reply, with
 *  the macros of expand-macros.ts and $rbl_*. A template that makes no reply gives `450 4.7.1 Service unavailable`. */
import { systemClock } from "../base/clock.ts";
import { ParameterError } from "../config/declare.ts";
import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { type LookupTable, TableError } from "../tables/table.ts";
import { expandMacros, type Macros, parseExpansionFilter, SESSION_MACROS, sessionMacros } from "./expand-macros.ts";
import { CONFIGURATION_ERROR, type ReplyClass, repairDsn, shortened } from "./reply-text.ts";
import type { Context, Outcome, Services } from "./restriction.ts";

/** What was found where. */
export interface BlockedBy {
  /** The list as written in the restriction. */
  readonly argument: string;
  readonly domain: string;
  /** The address, name or mail address that is listed. */
  readonly what: string;
  readonly replyClass: ReplyClass;
  readonly reason: string;
}

export class RblReply {
  readonly #services: Services;
  readonly #tables: readonly LookupTable[];
  readonly #template: string;
  readonly #filter: ReadonlySet<string>;
  readonly #code: string;

  /** Throws ParameterError for a default_rbl_reply that cannot be expanded. */
  constructor(services: Services) {
    const { params } = services;
    this.#services = services;
    this.#tables = params.get("rbl_reply_maps").map((ref) => services.tables.open(ref));
    this.#template = params.get("default_rbl_reply");
    this.#filter = parseExpansionFilter(params.get("smtpd_expansion_filter"));
    this.#code = String(params.get("maps_rbl_reject_code"));
    checkTemplate(this.#template);
  }

  /** The refusal. A table of rbl_reply_maps that cannot answer gives 451 4.3.5. */
  async refuse(found: BlockedBy, context: Context): Promise<Outcome> {
    let template: string | undefined;
    try {
      template = await this.#findTemplate(found.argument, context);
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      this.#services.log.warning(`rbl_reply_maps lookup error: ${printableAscii(error.message)}`);
      return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
    }
    const text = this.#expand(template, found, context);
    return { kind: "refuse", cause: "policy", reply: this.#replyOf(text, found.replyClass) };
  }

  async #findTemplate(key: string, context: Context): Promise<string | undefined> {
    for (const table of this.#tables) {
      const value = await table.get(key);
      context.trace?.lookup(table.ref, key, value);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #expand(template: string | undefined, found: BlockedBy, context: Context): string {
    const macros = this.#macros(found, context);
    if (template !== undefined) {
      try {
        return expandMacros(template, macros, this.#filter);
      } catch (error) {
        if (!(error instanceof ParameterError)) throw error;
        this.#services.log.warning(error.message);
        const shown = printableAscii(template);
        this.#services.log.warning(`rbl_reject_reply: bad rbl reply template for domain ${found.argument}: ${shown}`);
      }
    }
    return expandMacros(this.#template, macros, this.#filter);
  }

  #macros(found: BlockedBy, { facts }: Context): Macros {
    const { params, clock = systemClock } = this.#services;
    const macros = sessionMacros({ facts, serverName: params.text("myhostname"), now: clock.now() });
    const own = { code: this.#code, domain: found.domain, what: found.what, class: found.replyClass };
    for (const [name, value] of Object.entries(own)) macros.set(`rbl_${name}`, value);
    for (const name of ["rbl_reason", "rbl_txt"]) macros.set(name, found.reason);
    return macros;
  }

  #replyOf(text: string, replyClass: ReplyClass): Reply {
    const [, code, dsn, rest = ""] = /^([45]\d\d) (?:([245]\.\d{1,3}\.\d{1,3})(?:\s+|$))?([\s\S]*)$/.exec(text) ?? [];
    if (code === undefined) {
      this.#services.log.warning(`rbl response code configuration error: ${printableAscii(text)}`);
      return reply(450, "4.7.1", "Service unavailable");
    }
    const status = repairDsn(dsn ?? "4.7.1", Number(code), replyClass);
    return shortened(Number(code), status, rest.trim() || "Service unavailable");
  }
}

const MACRO_NAMES = [
  ...SESSION_MACROS,
  ...["code", "domain", "what", "class", "reason", "txt"].map((name) => `rbl_${name}`),
];

/** Expands a template with empty and with full macros, so that a bad one is found before the first client is blocked. */
function checkTemplate(template: string): void {
  for (const value of ["", "x"]) {
    try {
      expandMacros(template, new Map(MACRO_NAMES.map((name) => [name, value])), new Set());
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      throw new ParameterError(`bad default rbl reply template: ${template}: ${error.message}`);
    }
  }
}
