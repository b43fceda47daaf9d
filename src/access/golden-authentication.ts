/** access/golden-authentication.ts: what SPF and DMARC say of a message, for tests of the words that refuse by it: the edge to authentication/. */
import type { DmarcCheck, MessageAuthentication, SpfCheck, SpfResult } from "../mail/message-authentication.ts";

export interface Said {
  readonly spf?: readonly (readonly [SpfCheck["identity"], SpfResult])[];
  readonly dmarc?: Partial<DmarcCheck>;
  /** Default true. */
  readonly judged?: boolean;
}

/** All about far.test. */
export function authenticationThatSays({ spf = [], dmarc, judged = true }: Said): MessageAuthentication {
  const checks = spf.map(([identity, result]) => ({ identity, result, domain: "far.test", comment: "", field: "" }));
  const found = { result: "none", policy: "none", domain: "far.test", ...dmarc } as const;
  return {
    judged,
    spf: async () => checks,
    header: (fields) => fields,
    update: () => undefined,
    verdict: async () => ({ dmarc: found, arc: "none", field: "" }),
    beginSeal: () => undefined,
    resultsField: async () => undefined,
  };
}

/** `trusted`; else words `helo=RESULT`, `mailfrom=RESULT`, `dmarc=RESULT`, `policy=POLICY`, `author=none`. */
export function parseAuthentication(text: string): MessageAuthentication {
  const words = new Map(text.split(" ").map((word) => word.split("=") as [string, string]));
  const of = (name: string) => words.get(name);
  const spf = (["helo", "mailfrom"] as const).flatMap((identity) => {
    const result = of(identity);
    return result === undefined ? [] : [[identity, result as SpfResult] as const];
  });
  const dmarc = { result: of("dmarc") ?? "none", policy: of("policy") ?? "none" } as Partial<DmarcCheck>;
  const noAuthor = of("author") === undefined ? {} : { noAuthor: "no author domain" };
  return authenticationThatSays({ spf, dmarc: { ...dmarc, ...noAuthor }, judged: text !== "trusted" });
}
