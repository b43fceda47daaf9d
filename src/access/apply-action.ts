/** access/apply-action.ts: what an access(5) action does to the list and to the message (postfix.md §2.3). The same for
 *  tables and for policy servers. Looks nothing up. */
import { unreachable } from "../base/unreachable.ts";
import { printableAscii } from "../mail/printable.ts";
import type { Effect, RuleRef } from "./access.ts";
import { type Action, parseAction } from "./action.ts";
import { CONFIGURATION_ERROR, rejected, type Subject } from "./reply-text.ts";
import { type Context, DUNNO, type Outcome, PERMIT, type Services } from "./restriction.ts";

/** A value that was found, and where. */
export interface Finding {
  readonly value: string;
  /** "texthash:/etc/postern/access", for warnings. */
  readonly table: string;
  readonly key: string;
  readonly subject: Subject;
  readonly ref: RuleRef;
}

/** The outcome of a value found in a table or given by a policy server. */
export function applyAction(finding: Finding, context: Context, services: Services): Outcome {
  const action = parseAction(finding.value);
  const { subject } = finding;
  switch (action.kind) {
    case "dunno":
      return DUNNO;
    case "permit":
      return PERMIT;
    case "reject":
    case "defer":
    case "code":
    case "hangup":
      return refusalOf(action, subject, services);
    case "deferIfPermit":
    case "deferIfReject":
      return {
        kind: action.kind,
        reply: rejected(450, action.dsn ?? "4.7.1", subject, action.text || "Service unavailable"),
      };
    case "info":
    case "warn":
      return { ...DUNNO, notices: [{ action: action.kind, text: printableAscii(action.text) }] };
    case "list":
      return {
        kind: "run",
        rules: services.compileValue(action.text, { stage: context.stage, ref: finding.ref }),
        subject,
      };
    case "empty":
      services.log.warning(`access table ${finding.table} entry "${printableAscii(finding.key)}" has empty value`);
      return PERMIT;
    case "tableInside":
      return tableInside(finding, services);
    case "hold":
    case "discard":
    case "filter":
    case "redirect":
    case "bcc":
    case "prepend":
      return effectOf(action, { finding, context, services });
    default:
      return unreachable(action);
  }
}

function refusalOf(
  action: Extract<Action, { kind: "reject" | "defer" | "code" | "hangup" }>,
  subject: Subject,
  services: Services,
): Outcome {
  const code =
    action.code ?? services.params.get(action.kind === "defer" ? "access_map_defer_code" : "access_map_reject_code");
  const reply = rejected(code, action.dsn ?? "5.7.1", subject, action.text || "Access denied");
  const refusal: Outcome = { kind: "refuse", cause: "policy", reply };
  return action.kind === "hangup" ? { ...refusal, hangup: true } : refusal;
}

function tableInside({ table, value }: Finding, { log }: Services): Outcome {
  log.warning(`access table ${table} has entry with lookup table: ${printableAscii(value)}`);
  log.warning("do not specify lookup tables inside SMTPD access maps");
  log.warning("define a restriction class and specify its name instead.");
  return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
}

type EffectAction =
  | Extract<Action, { readonly kind: "hold" | "discard" }>
  | Extract<Action, { readonly kind: "filter" | "redirect" | "bcc" | "prepend" }>;

interface Scene {
  readonly finding: Finding;
  readonly context: Context;
  readonly services: Services;
}

/** A message-wide action, or DUNNO with a warning where it cannot be one. */
function effectOf(action: EffectAction, scene: Scene): Outcome {
  const { finding, context, services } = scene;
  const unfit = unfitReason(action, context);
  if (unfit !== undefined) {
    services.log.warning(`access table ${finding.table}: ${unfit}`);
    return DUNNO;
  }
  const what = `<${finding.subject.name}>: ${finding.subject.replyClass}`;
  const verb = action.kind.toUpperCase();
  const { effect, text } = effectAndText(action, verb);
  const notices = text === undefined ? [] : [{ action: action.kind, text: printableAscii(`${what} ${text}`) }];
  return { kind: action.kind === "discard" ? "permit" : "dunno", effects: [effect], notices };
}

function effectAndText(action: EffectAction, verb: string): { effect: Effect; text: string | undefined } {
  if (action.kind === "hold" || action.kind === "discard") {
    return { effect: { kind: action.kind, text: action.text }, text: action.text || `triggers ${verb} action` };
  }
  const effect: Effect = { kind: action.kind, value: action.text };
  return { effect, text: action.kind === "prepend" ? undefined : `triggers ${verb} ${action.text}` };
}

function unfitReason(action: EffectAction, context: Context): string | undefined {
  const verb = action.kind.toUpperCase();
  if (context.effectScope === "beforeMail") {
    return `with smtpd_delay_reject=no, action ${verb} is always skipped in Client host or Helo command restrictions`;
  }
  if (context.effectScope === "etrn") return `action ${verb} is unavailable in smtpd_etrn_restrictions`;
  if (action.kind === "prepend" && context.stage === "end_of_data") {
    return "action PREPEND must be used before smtpd_end_of_data_restrictions";
  }
  const text = printableAscii(action.text);
  if (action.kind === "filter" && !action.text.includes(":")) {
    return `action FILTER requires transport:destination, not "${text}"`;
  }
  if ((action.kind === "redirect" || action.kind === "bcc") && !/^\S+@\S+$/.test(action.text)) {
    return `action ${verb} requires user@domain target, not "${text}"`;
  }
  // A header field and nothing else: a line end here would let a table write the message (RFC 5322 §2.2).
  if (action.kind === "prepend" && !/^[!-9;-~]+:[^\r\n\0]*$/.test(action.text)) {
    return `action PREPEND requires a header, not "${text}"`;
  }
  return undefined;
}
