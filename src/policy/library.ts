/** policy/library.ts: what `import … from "postern/policy"` gives: a policy server in a few lines, for Postern and for
 *  Postfix. Described in docs/policy.md. Everything else in this room is Postern's own client side. */
export {
  bcc,
  checkAction,
  defer,
  deferIfPermit,
  deferIfReject,
  discard,
  dunno,
  hold,
  info,
  ok,
  PolicyActionError,
  prepend,
  redirect,
  reject,
  replyCode,
  warn,
} from "./actions.ts";
export type { AttributeName } from "./attributes.ts";
export { type ParsedQuery, type PolicyQuery, parsePolicyRequest } from "./query.ts";
export { type PolicyHandler, type RunningPolicy, type ServeOptions, serve } from "./serve.ts";
export { testPolicy } from "./trial.ts";
