/** authentication/testdata/message.ts: a host that verifies, and messages for it, by the zone of many cases. */
import assert from "node:assert/strict";
import { parametersOf } from "../../config/parameters.ts";
import type { Dns } from "../../dns/resolver.ts";
import { Log } from "../../log/log.ts";
import type { CameField, SenderFacts } from "../../mail/message-authentication.ts";
import { createAuthenticator } from "../create.ts";
import { KEY_FILES, keyRecord, type Zone, zoneDns } from "./zone.ts";

export const NOW = Date.UTC(2026, 10, 24);

export const ZONE: Zone = {
  "TXT good.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT _dmarc.good.test": ["v=DMARC1; p=reject"],
  "TXT s._domainkey.good.test": [keyRecord("rsa")],
  "TXT e._domainkey.good.test": [keyRecord("ed25519")],
  "TXT sub.good.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT soft.test": ["v=spf1 ~all"],
  "TXT neutral.test": ["v=spf1 ?all"],
  "TXT two.test": ["v=spf1 -all", "v=spf1 +all"],
  "TXT twelve.test": [
    `v=spf1 ${"abcdefghijkl"
      .split("")
      .map((c) => `include:${c}.inc.test`)
      .join(" ")} -all`,
  ],
  ...Object.fromEntries("abcdefghijkl".split("").map((c) => [`TXT ${c}.inc.test`, ["v=spf1 ip4:198.51.100.1 -all"]])),
  "TXT three.test": ["v=spf1 include:a.inc.test include:b.inc.test -all"],
  "TXT _dmarc.bank.co.test": ["v=DMARC1; p=reject"],
  "TXT void.test": ["v=spf1 a:no1.test a:no2.test a:no3.test -all"],
  "TXT mx.test": ["v=spf1 mx -all"],
  "MX mx.test": ["10 a.mx.test"],
  "A a.mx.test": ["192.0.2.7"],
  "TXT lost.test": ["v=spf1 include:broken.test -all"],
  "TXT mail.good.test": ["v=spf1 ip4:192.0.2.7 -all"],
  "TXT liar.test": ["v=spf1 -all"],
  "TXT strict.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT _dmarc.strict.test": ["v=DMARC1; p=quarantine; aspf=s; adkim=s"],
  "TXT mail.strict.test": ["v=spf1 ip4:192.0.2.0/24 -all"],
  "TXT _dmarc.bank.psd.test": ["v=DMARC1; p=none; psd=n"],
  "TXT _dmarc.psd.test": ["v=DMARC1; p=none; sp=quarantine; np=reject; psd=y"],
  "A shop.psd.test": ["192.0.2.1"],
  "TXT _dmarc.testing.test": ["v=DMARC1; p=reject; t=y"],
  "TXT _dmarc.sub.test": ["v=DMARC1; p=none; sp=reject"],
  "TXT _dmarc.pct.test": ["v=DMARC1; p=reject; pct=0; fo=x; nonsense=1"],
  "A a.sub.test": ["192.0.2.1"],
  "TXT _dmarc.half.test": ["v=DMARC1; p=reject"],
  "TXT lost.half.test": ["v=spf1 include:broken.test -all"],
};

export const FROM = (address: string) => `From: A <${address}>\r\nSubject: s`;

export interface Opened {
  readonly overrides?: Readonly<Record<string, string>>;
  /** Takes each question. */
  readonly asked?: string[];
  /** Default: that of ZONE. */
  readonly dns?: Dns;
  readonly monotonic?: () => number;
  readonly role?: "submission" | "mx";
}

/** The host mx.test, which verifies. */
export function open({ overrides = {}, asked = [], dns = zoneDns(ZONE, asked), monotonic = () => 0, role = "mx" }: Opened = {}) {
  const params = parametersOf({ myhostname: "mx.test", postern_authentication_results: "yes", ...overrides });
  const authenticator = createAuthenticator(params, {
    dns,
    clock: { now: () => NOW, monotonic },
    role,
    log: new Log({ sink: () => undefined, now: () => NOW, tag: "t", id: 1 }),
    files: KEY_FILES,
    asked: false,
  });
  assert.ok(authenticator);
  return authenticator;
}

export const STRANGER: SenderFacts = {
  clientAddress: "192.0.2.7",
  helo: "mail.good.test",
  sender: "a@good.test",
  login: undefined,
  trusted: false,
};

/** Of a message whose body comes in small pieces. */
export async function verdictOf(
  fields: readonly CameField[],
  { body = "x\r\n", from = STRANGER, ...rest }: { body?: string; from?: SenderFacts; asked?: string[] } = {},
) {
  const message = open(rest).begin(from);
  await message.header(fields);
  for (let i = 0; i < body.length; i += 7) message.update(Buffer.from(body.slice(i, i + 7), "latin1"));
  const verdict = await message.verdict();
  assert.ok(verdict);
  return verdict;
}

/** The field on one line of any length. */
export const unfolded = (field: string) => field.replace(/\r\n\t /g, " ");

