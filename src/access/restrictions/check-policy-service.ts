/** access/restrictions/check-policy-service.ts: `check_policy_service inet:host:port | unix:path | { … }`: asks a policy
 *  server and applies its answer like a table's value (SMTPD_POLICY_README, postfix.md §4). No answer is the service's
 *  default action, never "go on". How a server is asked is policy/. */
import type { Parameters } from "../../config/parameters.ts";
import { printableAscii } from "../../mail/printable.ts";
import { composeRequest, encodeXtext } from "../../policy/attributes.ts";
import { unreachableService } from "../../policy/client.ts";
import type { PolicyAnswer, PolicyRequest, PolicyService } from "../../policy/policy.ts";
import type { Told } from "../../tables/lookup-trace.ts";
import type { Facts } from "../access.ts";
import { applyAction } from "../apply-action.ts";
import type { Context, Outcome, Word } from "../restriction.ts";

/** Where the default action of a server leads back to the same server: Postfix's built-in default. */
const LAST_DEFAULT_ACTION = "451 4.3.5 Server configuration problem";

/** States in which the recipients are complete and counted. */
const COUNTED: ReadonlySet<string> = new Set(["DATA", "END-OF-MESSAGE"]);

export const checkPolicyService: Word = {
  names: ["check_policy_service"],
  argument: "service",
  build(services, { argument, ref }) {
    const { params, log } = services;
    const service = services.policy?.open(argument) ?? unreachableService(argument, params);
    // Commands whose default action is a list that may ask here again.
    const failing = new WeakSet<Context>();
    return async (context) => {
      const request = policyRequest(context.facts, service, params);
      const answer = await ask(service, request, context);
      context.trace?.lookup("policy request to", service.name, request, tellRequest);
      const apply = (value: string): Outcome =>
        applyAction(
          { value, table: service.name, key: "policy query", subject: context.subject, ref },
          context,
          services,
        );
      if (answer.kind === "answer") {
        context.trace?.lookup("policy answer of", service.name, answer.action);
        return apply(answer.action);
      }
      const action = failing.has(context) ? LAST_DEFAULT_ACTION : service.defaultAction;
      const why = `no answer from policy server ${service.name}: ${answer.why}; default action applies: ${action}`;
      context.trace?.remark(why);
      log.warning(printableAscii(why));
      const outcome = apply(action);
      if (outcome.kind === "run") failing.add(context);
      return outcome;
    };
  },
};

/** All attributes of a request, in order. */
function policyRequest(facts: Facts, service: PolicyService, params: Parameters): PolicyRequest {
  const { client, server, sasl, tls } = facts;
  const state = facts.command === "BDAT" ? "DATA" : facts.command;
  return composeRequest({
    protocol_state: state,
    protocol_name: facts.protocol,
    client_address: client.address,
    client_name: client.name,
    client_port: String(client.port),
    reverse_client_name: client.reverseName,
    server_address: server.address,
    server_port: String(server.port),
    helo_name: facts.helo,
    sender: facts.sender,
    recipient: facts.recipient,
    recipient_count: COUNTED.has(state) ? String(facts.recipientCount) : "0",
    queue_id: facts.queueId,
    instance: facts.instance,
    size: String(facts.sizeBytes ?? 0),
    etrn_domain: facts.etrnDomain,
    stress: facts.stress ? "yes" : params.get("stress"),
    sasl_method: sasl?.method,
    sasl_username: sasl?.username,
    sasl_sender: facts.saslSender,
    ...certificateAttributes(facts),
    encryption_protocol: tls?.protocol,
    encryption_cipher: tls?.cipher,
    encryption_keysize: String(tls?.bits ?? 0),
    policy_context: service.policyContext,
    compatibility_level: params.text("compatibility_level"),
    mail_version: params.text("mail_version"),
  });
}

/** Names only of certificates whose issuer we trust; a fingerprint speaks for itself. */
function certificateAttributes({ tls }: Facts) {
  const peer = tls?.peer;
  return {
    ccert_subject: peer?.trusted ? encodeXtext(peer.subject) : undefined,
    ccert_issuer: peer?.trusted ? encodeXtext(peer.issuer) : undefined,
    ccert_fingerprint: peer?.certFingerprint,
    ccert_pubkey_fingerprint: peer?.publicKeyFingerprint,
  };
}

async function ask(service: PolicyService, request: PolicyRequest, { trace }: Context): Promise<PolicyAnswer> {
  try {
    return await service.ask(request);
  } catch (error) {
    trace?.lookup("policy answer of", service.name, error);
    throw error;
  }
}

function tellRequest(request: PolicyRequest): Told {
  const known = request.filter(([attribute, value]) => attribute !== "request" && value !== "");
  return { result: "found", value: known.map(([attribute, value]) => `${attribute}=${value}`).join(" ") };
}
