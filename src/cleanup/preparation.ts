/** cleanup/preparation.ts: a draft whose content has come, made ready to be queued: addresses rewritten and mapped, what a submitted
 *  message must be. Nothing is stored here. */
import type { Address } from "../mail/address.ts";
import type { Envelope, Recipient } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { reply } from "../mail/reply.ts";
import { rewriteAddress, rewriteRules } from "../rewrite/canonical.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { Draft } from "./draft.ts";
import type { HeaderField } from "./header-block.ts";
import { type MappedEnvelope, mapEnvelope, peelRecipients, unmapped } from "./map-envelope.ts";
import type { MilterOutput } from "./milter-stage.ts";
import { rewriteFields } from "./rewrite-fields.ts";

/** A message that nothing stands against, but that is not stored yet. */
export interface Prepared {
  readonly fields: readonly HeaderField[];
  readonly mapped: MappedEnvelope;
}

/** `changed`: the parameters whose rules have changed the body. undefined: the draft is refused, and nothing has been queued. */
export async function prepare(draft: Draft, changed: Iterable<string>): Promise<Prepared | undefined> {
  const { ledger, fields } = draft;
  const warn = (text: string) => draft.warn(text);
  try {
    const rewritten = await rewriteHeader(draft, warn);
    for (const rule of changed) ledger.record("body changed", { why: "matched", rule });
    ledger.compare(fields, rewritten, { why: "address rewritten", rule: "address rewriting" });
    const checked = await checkDuties(draft, rewritten);
    return checked && { fields: checked, mapped: await mapDraft(draft, warn) };
  } catch (error) {
    if (!(error instanceof MappingError)) throw error;
    refuseUnmapped(draft, error);
    return undefined;
  }
}

/** Nobody knows now who would get the message. */
export function refuseUnmapped(draft: Draft, { kind, message, cause }: MappingError): void {
  if (cause instanceof Error) draft.deps.log.warning(printableUtf8(cause.message));
  draft.warn(message);
  draft.refuse(
    kind === "limit"
      ? reply(451, "4.6.0", "Alias expansion error")
      : reply(451, "4.3.0", "Error: queue file write error"),
  );
}

/** Headers from elsewhere are left alone, unless remote_header_rewrite_domain says how to complete them. */
async function rewriteHeader(
  { deps: { params, mapping }, options, fields, turns }: Draft,
  warn: (text: string) => void,
): Promise<readonly HeaderField[]> {
  const remoteDomain = options.role === "submission" ? undefined : params.get("remote_header_rewrite_domain");
  if (remoteDomain === "") return fields;
  const rules = rewriteRules(params, remoteDomain);
  const rewrite = (address: Address) => rewriteAddress(address, rules);
  const tokenLimit = params.get("header_address_token_limit");
  return rewriteFields(fields, { rewrite, mappings: mapping?.mappings, tokenLimit, warn, turns });
}

/** undefined: the message is refused. */
async function checkDuties(draft: Draft, fields: readonly HeaderField[]): Promise<readonly HeaderField[] | undefined> {
  const { duties, ownCount, turns } = draft;
  if (!duties) return fields;
  const checked = await duties.check(fields.slice(ownCount), turns);
  if ("fields" in checked) return [...fields.slice(0, ownCount), ...checked.fields];
  draft.refuse(checked.refused);
  return undefined;
}

async function mapDraft(draft: Draft, warn: (text: string) => void): Promise<MappedEnvelope> {
  const { envelope, recipients, redirected } = draft.options;
  const { mapping, params } = draft.deps;
  const { redirect, copies = [] } = draft.verdict ?? {};
  const { sender } = envelope;
  if (redirect !== undefined) return { sender, recipients: redirectedTo(redirect, draft) };
  if (redirected === true) return { sender, recipients };
  const given = { sender, recipients, copies };
  const mapped = mapping ? await mapEnvelope(given, { ...mapping, params, warn }) : unmapped(given);
  // A content filter gets addresses as they are.
  return mapping?.peel && !filteredEnvelope(draft).filter ? peelRecipients(mapped, mapping.peel) : mapped;
}

/** In the name of the first recipient. */
export function redirectedTo(address: Address, { options, deps }: Draft): readonly Recipient[] {
  const [first] = options.recipients;
  const rewrite = deps.mapping?.rewrite ?? ((given: Address) => given);
  return first ? [{ address: rewrite(address), original: first.original }] : [];
}

/** The last FILTER comes before content_filter, REDIRECT before both. `after`: what milter_header_checks has said. */
export function filteredEnvelope(
  { options, verdict, deps }: Draft,
  after?: Pick<MilterOutput, "filter" | "redirect">,
): Envelope {
  const { envelope, redirected } = options;
  const { filter, redirect } = verdict ?? {};
  if ((after?.redirect ?? redirect) !== undefined || redirected === true) return { ...envelope, filter: undefined };
  const last = after?.filter ?? filter ?? envelope.filter ?? deps.params.get("content_filter");
  return last === envelope.filter || last === "" ? envelope : { ...envelope, filter: last };
}
