/** access/apply-action.ts: what an access(5) action does to the list and to the message (postfix.md §2.3). The same for
 *  tables and for policy servers. Looks nothing up. */
import { unreachable } from "../base/unreachable.ts";
import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply } from "../mail/reply.ts";
import type { Effect, RuleRef } from "./access.ts";
import { type Action, keywordOf, parseAction } from "./action.ts";
import { CONFIGURATION_ERROR, fixDsn, rejected, type Subject } from "./reply-text.ts";
import { type Context, DUNNO, type Outcome, PERMIT, type Services } from "./restriction.ts";

/** Lists found in tables nest at most this deep. */
const MAX_DEPTH = 100;

/** Never sent: the connection is closed instead. */
const HUNG_UP: Reply = reply(421, "4.7.0", "Error: hangup requested");

/** A value that was found, and where. */
export interface Finding {
  readonly value: string;
  /** "texthash:/etc/postern/access", for warnings. */
  readonly table: string;
  readonly key: string;
  readonly subject: Subject;
  readonly ref: RuleRef;
}

interface Scene {
  readonly finding: Finding;
  readonly context: Context;
  readonly services: Services;
}

/** The outcome of a value found in a table or given by a policy server. */
export function applyAction(finding: Finding, context: Context, services: Services): Outcome {
  const action = parseAction(finding.value);
  const scene = { finding, context, services };
  switch (action.kind) {
    case "dunno":
      return DUNNO;
    case "permit":
      return permitBy(scene);
    case "reject":
    case "defer":
    case "code":
      return refusalOf(action, scene);
    case "deferIfPermit":
    case "deferIfReject":
      return { kind: action.kind, reply: deferralOf(action, scene) };
    case "hangup":
      return {
        kind: "refuse",
        cause: "config", // warn_if_reject does not soften it, nor defer_if_reject: the connection ends here and now
        reply: HUNG_UP,
        hangup: true,
        notices: [{ action: "hangup", text: printableAscii(action.text) }],
      };
    case "info":
    case "warn":
      return { ...DUNNO, notices: [{ action: action.kind, text: printableAscii(action.text) }] };
    case "list":
      return listOf(action.text, scene);
    case "empty":
      context.log.warning(`access table ${finding.table} entry ${printableAscii(finding.value)} has empty value`);
      return PERMIT;
    case "tableInside":
      return tableInside(finding, context);
    case "hold":
    case "discard":
    case "filter":
    case "redirect":
    case "bcc":
    case "prepend":
      return effectOf(action, scene);
    default:
      return unreachable(action);
  }
}

/** The origin is made only where somebody logs it. */
function permitBy({ finding, services }: Scene): Outcome {
  if (services.params.get("smtpd_log_access_permit_actions").length === 0) return PERMIT;
  const { value, table, subject } = finding;
  return { kind: "permit", origin: { action: printableAscii(keywordOf(value)), subject, table } };
}

function refusalOf(action: Extract<Action, { kind: "reject" | "defer" | "code" }>, scene: Scene): Outcome {
  const { subject } = scene.finding;
  const { params } = scene.services;
  const code = action.code ?? params.get(action.kind === "defer" ? "access_map_defer_code" : "access_map_reject_code");
  const dsn = action.dsn === undefined ? "5.7.1" : fixDsn(action.dsn, subject.replyClass, scene.context.log);
  return { kind: "refuse", cause: "policy", reply: rejected(code, dsn, subject, action.text || "Access denied") };
}

function deferralOf(action: Extract<Action, { kind: "deferIfPermit" | "deferIfReject" }>, scene: Scene): Reply {
  const { subject } = scene.finding;
  const { params } = scene.services;
  const dsn = action.dsn === undefined ? "4.7.1" : fixDsn(action.dsn, subject.replyClass, scene.context.log);
  return rejected(params.get("access_map_defer_code"), dsn, subject, action.text || "Service unavailable");
}

function listOf(text: string, { finding, context, services }: Scene): Outcome {
  const { table, subject, ref } = finding;
  if ((context.depth ?? 0) > MAX_DEPTH) {
    context.log.warning(`access table ${table} entry ${printableAscii(text)} causes unreasonable recursion`);
    return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
  }
  return { kind: "run", rules: services.compileValue(text, { stage: context.stage, ref }), subject };
}

function tableInside({ table, value }: Finding, { log }: Context): Outcome {
  log.warning(`access table ${table} has entry with lookup table: ${printableAscii(value)}`);
  log.warning("do not specify lookup tables inside SMTPD access maps");
  log.warning("define a restriction class and specify its name instead.");
  return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
}

type EffectAction =
  | Extract<Action, { readonly kind: "hold" | "discard" }>
  | Extract<Action, { readonly kind: "filter" | "redirect" | "bcc" | "prepend" }>;

/** A message-wide action, or DUNNO with a warning where it cannot be one. */
function effectOf(action: EffectAction, scene: Scene): Outcome {
  const { finding, context } = scene;
  const unfit = misplaced(action.kind, scene) ?? misspelt(action, finding.key);
  if (unfit !== undefined) {
    context.log.warning(`access table ${finding.table}${unfit}`);
    return DUNNO;
  }
  const what = `<${finding.subject.name}>: ${finding.subject.replyClass}`;
  const { effect, text } = effectAndText(action);
  const notices = text === undefined ? [] : [{ action: action.kind, text: printableAscii(`${what} ${text}`) }];
  const outcome = action.kind === "discard" ? permitBy(scene) : DUNNO;
  return { ...outcome, effects: [effect], notices };
}

function effectAndText(action: EffectAction): { effect: Effect; text: string | undefined } {
  const verb = action.kind.toUpperCase();
  if (action.kind === "hold" || action.kind === "discard") {
    return { effect: { kind: action.kind, text: action.text }, text: action.text || `triggers ${verb} action` };
  }
  const effect: Effect = { kind: action.kind, value: action.text };
  return { effect, text: action.kind === "prepend" ? undefined : `triggers ${verb} ${action.text}` };
}

/** Why an action has no message to act on here. */
function misplaced(kind: EffectAction["kind"], { context, services }: Scene): string | undefined {
  const { effectScope, stage } = context;
  const verb = kind.toUpperCase();
  if (kind !== "prepend" && services.params.get("smtpd_proxy_filter") !== "") {
    return `: with smtpd_proxy_filter specified, action ${verb} is unavailable`;
  }
  if (effectScope === "etrn" && kind !== "prepend") return `: action ${verb} is unavailable in smtpd_etrn_restrictions`;
  if (effectScope !== "message") {
    return `: with smtpd_delay_reject=no, action ${verb} is always skipped in Client host or Helo command restrictions`;
  }
  if (kind === "prepend" && stage === "end_of_data") {
    return ": action PREPEND must be used before smtpd_end_of_data_restrictions";
  }
  return undefined;
}

/** What an action lacks. */
function misspelt({ kind, text }: EffectAction, key: string): string | undefined {
  const entry = ` entry "${printableAscii(key)}"`;
  if (kind === "filter" && text === "") return `${entry} has FILTER entry without value`;
  if (kind === "filter" && !text.includes(":")) return `${entry} requires transport:destination`;
  if ((kind === "redirect" || kind === "bcc") && !/^\S+@\S+$/.test(text)) return `${entry} requires user@domain target`;
  // A header field and nothing else: a line end here would let a table write the message (RFC 5322 §2.2).
  if (kind === "prepend" && !/^[!-9;-~]+[ \t]*:[^\r\n\0]*$/.test(text)) return `${entry} requires header: text`;
  return undefined;
}
