/** access/restrictions/check-ccert-access.ts: `check_ccert_access type:table`, by certificate fingerprint, then by public key
 *  fingerprint; another order is `{ type:table { search_order = pubkey_fingerprint, cert_fingerprint } }`. It does not
 *  matter who issued the certificate. */
import { ParameterError, splitList } from "../../config/declare.ts";
import type { TlsPeer } from "../../mail/client.ts";
import { AccessTable } from "../access-table.ts";
import { warnUnlessCcertAsked } from "../ccert.ts";
import { type Context, DUNNO, type Rule, type Word } from "../restriction.ts";

const FINGERPRINTS: ReadonlyMap<string, (peer: TlsPeer) => string> = new Map([
  ["cert_fingerprint", (peer: TlsPeer) => peer.certFingerprint],
  ["pubkey_fingerprint", (peer: TlsPeer) => peer.publicKeyFingerprint],
]);

export const checkCcertAccess: Word = {
  names: ["check_ccert_access"],
  argument: "table",
  build(services, rule) {
    const { table: argument, order } = parseSearch(rule.argument);
    const table = new AccessTable(services, { ...rule, argument });
    const checkKey = (name: string, context: Context) => {
      const peer = context.facts.tls?.peer;
      const key = peer && FINGERPRINTS.get(name)?.(peer);
      return peer && key
        ? table.check([key], { name: peer.subject, replyClass: "Client certificate" }, context)
        : DUNNO;
    };
    // One rule for each key: DUNNO for one, also out of a list in the table, goes on to the next.
    const rules = order.map(
      (name): Rule => ({
        ref: rule.ref,
        word: "check_ccert_access",
        argument,
        evaluate: (context) => checkKey(name, context),
      }),
    );
    return (context) => {
      if (context.facts.tls?.peer === undefined) {
        warnUnlessCcertAsked("check_ccert_access", services, context);
        return DUNNO;
      }
      return { kind: "run", rules };
    };
  },
};

interface Search {
  readonly table: string;
  readonly order: readonly string[];
}

/** The table and the names of its keys. Throws ParameterError. */
function parseSearch(argument: string): Search {
  const inner = /^\{([\s\S]*)\}$/.exec(argument)?.[1];
  if (inner === undefined) return { table: argument, order: [...FINGERPRINTS.keys()] };
  const [table = "", options, ...rest] = splitList(inner, "check_ccert_access");
  if (!table.includes(":") || rest.length > 0)
    throw bad(argument, "need { maptype:mapname { search_order = name, ... } }");
  if (options === undefined) return { table, order: [...FINGERPRINTS.keys()] };
  const setting = /^\{\s*search_order\s*=\s*([^{}]*)\}$/.exec(options)?.[1];
  if (setting === undefined) throw bad(argument, "need search_order = name, ...");
  const order = splitList(setting, "check_ccert_access").map((name) => name.toLowerCase());
  const unknown = order.find((name) => !FINGERPRINTS.has(name));
  if (unknown !== undefined) throw bad(argument, `unexpected action '${unknown}'`);
  if (order.length === 0) throw bad(argument, "empty search_order");
  return { table, order };
}

function bad(argument: string, why: string): ParameterError {
  return new ParameterError(`restriction check_ccert_access: bad argument "${argument}": ${why}`);
}
