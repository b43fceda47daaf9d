/** policy/trial.ts: asks a policy handler without any server, for the tests of whoever writes one (postern/policy). */
import { checkAction } from "./actions.ts";
import { type AttributeName, REQUEST_KIND } from "./attributes.ts";
import { queryOf } from "./query.ts";
import type { PolicyHandler } from "./serve.ts";

/** The action that the handler gives for these attributes; all others are empty, protocol_state is RCPT. Rejects with what
 *  the handler throws, or with PolicyActionError if its answer is no action. */
export async function testPolicy(
  handler: PolicyHandler,
  attributes: { readonly [N in AttributeName]?: string } = {},
): Promise<string> {
  const start = { request: REQUEST_KIND, protocol_state: "RCPT", protocol_name: "ESMTP" };
  const query = queryOf(new Map(Object.entries({ ...start, ...attributes })));
  return checkAction(await handler(query, new AbortController().signal));
}
