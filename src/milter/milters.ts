/** milter/milters.ts: the Milters of one service, asked one after the other (MILTER_README). The first that does not say "continue"
 *  decides a step; at the end of a message each sees what the one before it has made of it. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Deadlines } from "../base/deadlines.ts";
import { ParameterError, splitList } from "../config/declare.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import { type Answer, CONTINUE, defaultAnswer } from "./answer.ts";
import type { MessageEdits } from "./edits.ts";
import { Filter, type FilterDeps, type MacroLookup, type MilterBody, type Step, type Where } from "./filter.ts";
import { COMMAND, encodeTexts, STEP } from "./protocol.ts";
import { type MilterSettings, parseMilters } from "./settings.ts";

export interface MilterClient {
  readonly name: string;
  /** IP address; "" for a client that has none. */
  readonly address: string;
  readonly port: number;
}

/** The Milters in one SMTP session. No method rejects but for bugs. */
export interface MilterSession {
  connect(client: MilterClient): Promise<Answer>;
  helo(name: string): Promise<Answer>;
  /** `<address>` and the parameters. */
  mail(words: readonly string[]): Promise<Answer>;
  rcpt(words: readonly string[]): Promise<Answer>;
  /** A recipient that is refused already, for those that want to hear of it. */
  refusedRcpt(words: readonly string[]): Promise<Answer>;
  data(): Promise<Answer>;
  unknown(line: string): Promise<Answer>;
  /** The whole message, when it has come. "hold": continue, and hold. */
  message(edits: MessageEdits, body: MilterBody): Promise<Answer>;
  /** What was said of a message counts no longer: it is over, or there will be none. */
  abort(): void;
  quit(): void;
}

export interface Milters {
  /** undefined: this client is not shown to any. `client`: its address. */
  newSession(macros: MacroLookup, log: Log, client: string): Awaitable<MilterSession | undefined>;
}

const MACRO_PARAMETERS = {
  connect: "milter_connect_macros",
  helo: "milter_helo_macros",
  mail: "milter_mail_macros",
  rcpt: "milter_rcpt_macros",
  data: "milter_data_macros",
  endOfHeader: "milter_end_of_header_macros",
  endOfMessage: "milter_end_of_data_macros",
  unknown: "milter_unknown_command_macros",
} as const;

export interface MiltersDeps {
  readonly deadlines: Deadlines;
  readonly tables: TableOpener;
}

/** Those of mail that comes by SMTP: smtpd_milters, or what smtpd_milter_maps has for the client. undefined: there are none.
 *  Throws ParameterError. */
export function createMilters(params: Parameters, deps: MiltersDeps): Milters | undefined {
  if (params.get("receive_override_options").includes("no_milters")) return undefined;
  const settings = parseMilters(params.get("smtpd_milters"), params);
  const maps = params.get("smtpd_milter_maps").map((ref) => deps.tables.open(ref));
  if (settings.length === 0 && maps.length === 0) return undefined;
  const open = sessionOpener(params, deps);
  return {
    newSession(macros, log, client) {
      if (maps.length === 0) return open(settings, macros, log);
      return settingsFor(client, { maps, settings, params, log }).then((found) =>
        found === "unknown" ? new UndecidedSession() : open(found, macros, log),
      );
    },
  };
}

/** Those of mail that comes another way: non_smtpd_milters. undefined: there are none. Throws ParameterError. */
export function createOtherMilters(params: Parameters, deps: Pick<MiltersDeps, "deadlines">): Milters | undefined {
  if (params.get("receive_override_options").includes("no_milters")) return undefined;
  const settings = parseMilters(params.get("non_smtpd_milters"), params);
  if (settings.length === 0) return undefined;
  const open = sessionOpener(params, deps);
  return { newSession: (macros, log) => open(settings, macros, log) };
}

function sessionOpener(params: Parameters, { deadlines }: Pick<MiltersDeps, "deadlines">) {
  const macroNames = Object.fromEntries(
    Object.entries(MACRO_PARAMETERS).map(([stage, name]) => [stage, params.get(name)]),
  ) as FilterDeps["macroNames"];
  const defaults = macroDefaults(params);
  return (settings: readonly MilterSettings[], macros: MacroLookup, log: Log): MilterSession | undefined => {
    const lookup: MacroLookup = (name) => macros(name) ?? defaults.get(name);
    if (settings.length === 0) return undefined;
    return new Session(settings.map((one) => new Filter(one, { deadlines, log, macroNames }, lookup)));
  };
}

/** What smtpd_milter_maps says of a client; "unknown": a table cannot be asked, or has something that is no list of Milters. */
async function settingsFor(
  client: string,
  from: {
    readonly maps: readonly LookupTable[];
    readonly settings: readonly MilterSettings[];
    readonly params: Parameters;
    readonly log: Log;
  },
): Promise<readonly MilterSettings[] | "unknown"> {
  const name = "smtpd_milter_maps";
  try {
    for (const map of from.maps) {
      const found = await map.get(client);
      if (found === undefined) continue;
      return /^disable$/i.test(found.trim()) ? [] : parseMilters(splitList(found, name), from.params);
    }
    return from.settings;
  } catch (error) {
    if (!(error instanceof TableError || error instanceof ParameterError)) throw error;
    from.log.warning(printableUtf8(`${name}: ${error.message}`));
    return "unknown";
  }
}

/** Nobody knows who should be asked: the client shall try again later, and is let in as far as to be told so. */
class UndecidedSession implements MilterSession {
  readonly #answer = defaultAnswer("tempfail");
  readonly connect = async () => this.#answer;
  readonly helo = this.connect;
  readonly mail = this.connect;
  readonly rcpt = this.connect;
  readonly refusedRcpt = async () => CONTINUE;
  readonly data = this.connect;
  readonly unknown = async () => CONTINUE;
  readonly message = this.connect;
  abort(): void {}
  quit(): void {}
}

/** milter_macro_defaults: name=value, `{name}=value`, `{ name = value }`. */
function macroDefaults(params: Parameters): ReadonlyMap<string, string> {
  const items = splitList(params.text("milter_macro_defaults"), "milter_macro_defaults");
  return new Map(
    items.flatMap((item) => {
      const m = /^\{?\s*\{?(\w+)\}?\s*=\s*(.*?)\s*\}?$/.exec(item);
      return m ? [[m[1] ?? "", m[2] ?? ""] as const] : [];
    }),
  );
}

function rcptStep(words: readonly string[]): Step {
  const bits = { unwanted: STEP.noRcpt, silent: STEP.noReplyToRcpt };
  return { command: COMMAND.rcpt, stage: "rcpt", data: encodeTexts(words), ...bits };
}

class Session implements MilterSession {
  readonly #filters: readonly Filter[];
  /** "hold" of a Milter that failed, for each message of the session. */
  #hold: Extract<Answer, { kind: "hold" }> | undefined;

  constructor(filters: readonly Filter[]) {
    this.#filters = filters;
  }

  async connect({ name, address, port }: MilterClient): Promise<Answer> {
    await Promise.all(this.#filters.map((filter) => filter.open()));
    const family = address === "" ? "U" : address.includes(":") ? "6" : "4";
    const where = Buffer.alloc(2);
    where.writeUInt16BE(port);
    const tail = address === "" ? [] : [where, encodeTexts([address])];
    const data = Buffer.concat([encodeTexts([name]), Buffer.from(family), ...tail]);
    const bits = { unwanted: STEP.noConnect, silent: STEP.noReplyToConnect };
    return this.#each({ command: COMMAND.connect, stage: "connect", data, ...bits }, "session");
  }

  helo(name: string): Promise<Answer> {
    const bits = { unwanted: STEP.noHelo, silent: STEP.noReplyToHelo };
    return this.#each({ command: COMMAND.helo, stage: "helo", data: encodeTexts([name]), ...bits }, "session");
  }

  mail(words: readonly string[]): Promise<Answer> {
    const bits = { unwanted: STEP.noMail, silent: STEP.noReplyToMail };
    return this.#each({ command: COMMAND.mail, stage: "mail", data: encodeTexts(words), ...bits }, "message");
  }

  rcpt(words: readonly string[]): Promise<Answer> {
    return this.#each(rcptStep(words), "message");
  }

  refusedRcpt(words: readonly string[]): Promise<Answer> {
    return this.#each({ ...rcptStep(words), wanted: STEP.rejectedRecipients }, "message");
  }

  data(): Promise<Answer> {
    const bits = { unwanted: STEP.noData, silent: STEP.noReplyToData };
    return this.#each({ command: COMMAND.data, stage: "data", ...bits }, "message");
  }

  unknown(line: string): Promise<Answer> {
    const bits = { unwanted: STEP.noUnknown, silent: STEP.noReplyToUnknown };
    return this.#each({ command: COMMAND.unknown, stage: "unknown", data: encodeTexts([line]), ...bits }, "command");
  }

  async message(edits: MessageEdits, body: MilterBody): Promise<Answer> {
    for (const filter of this.#filters) {
      const answer = await filter.content(edits, body);
      await body.settled();
      if (edits.over) return CONTINUE;
      if (answer.kind === "hold") this.#hold ??= answer;
      else if (answer.kind !== "continue") return answer;
    }
    return edits.quarantine === undefined ? (this.#hold ?? CONTINUE) : { kind: "hold", reason: edits.quarantine };
  }

  abort(): void {
    for (const filter of this.#filters) filter.abort();
  }

  quit(): void {
    for (const filter of this.#filters) filter.quit();
  }

  async #each(step: Step, where: Where): Promise<Answer> {
    for (const filter of this.#filters) {
      const answer = await filter.step(step, where);
      if (answer.kind === "hold") this.#hold ??= answer;
      else if (answer.kind !== "continue") return answer;
    }
    return CONTINUE;
  }
}
