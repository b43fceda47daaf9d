import assert from "node:assert/strict";
import { test } from "node:test";
import type { TlsPeer, TlsSession } from "../mail/client.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import { type LookupTable, TableError } from "../tables/table.ts";
import { compileHeaderClients, type HeaderClient } from "./header-clients.ts";

function tableOf(ref: string): LookupTable {
  return {
    ref,
    partialKeys: true,
    get(key) {
      if (ref === "hash:/broken") throw new TableError("broken");
      return ref === "static:all" ||
        (ref === "hash:/a" && key === "192.0.2.7") ||
        (ref === "hash:/c" && key === "AA:BB")
        ? "x"
        : undefined;
    },
  };
}

const peer: TlsPeer = { subject: "s", issuer: "i", certFingerprint: "AA:BB", publicKeyFingerprint: "", trusted: false };
const tlsWith = (change: Partial<TlsPeer>): TlsSession => ({
  protocol: "TLSv1.3",
  cipher: "c",
  bits: 256,
  reused: false,
  peer: { ...peer, ...change },
});
const STRANGER: HeaderClient = {
  client: { address: "192.0.2.7", port: 1, name: "unknown", reverseName: "unknown", nameStatus: "missing" },
  server: { address: "192.0.2.1", port: 25 },
  user: undefined,
  tls: undefined,
};
const at = (address: string) => ({ client: { ...STRANGER.client, address } });

const CASES: readonly { items: string; change?: Partial<HeaderClient>; want: boolean; why: string }[] = [
  { items: "", want: false, why: "an empty list" },
  { items: "permit_inet_interfaces", want: false, why: "another machine" },
  { items: "permit_inet_interfaces", change: at("192.0.2.1"), want: true, why: "this machine" },
  { items: "permit_mynetworks", change: at("10.1.2.3"), want: true, why: "mynetworks" },
  { items: "permit_mynetworks", want: false, why: "not in mynetworks" },
  {
    items: "permit_sasl_authenticated",
    change: { user: { method: "PLAIN", username: "a" } },
    want: true,
    why: "logged in",
  },
  { items: "permit_sasl_authenticated", want: false, why: "not logged in" },
  { items: "permit_tls_clientcerts", change: { tls: tlsWith({}) }, want: true, why: "a listed certificate" },
  {
    items: "permit_tls_clientcerts",
    change: { tls: tlsWith({ certFingerprint: "CC", trusted: true }) },
    want: false,
    why: "a trusted one is not enough",
  },
  {
    items: "permit_tls_all_clientcerts",
    change: { tls: tlsWith({ certFingerprint: "CC", trusted: true }) },
    want: true,
    why: "but it is here",
  },
  { items: "static:all", want: true, why: "the stock submission service" },
  { items: "check_address_map hash:/a", want: true, why: "an address in a table" },
  { items: "hash:/a", change: at("192.0.2.8"), want: false, why: "not in the table" },
  { items: "permit_mynetworks static:all", want: true, why: "the second item" },
];
const compile = (items: string) =>
  compileHeaderClients(items.split(" ").filter(Boolean), {
    open: tableOf,
    mynetworks: compileAddressList(["10.0.0.0/8"], { opener: { open: tableOf } }),
    certificates: [tableOf("hash:/c")],
  });
for (const c of CASES) {
  test(`compileHeaderClients() ${c.why}: ${c.items}`, async () => {
    assert.equal(await compile(c.items)({ ...STRANGER, ...c.change }), c.want);
  });
}

test("compileHeaderClients() rejects where a table fails", async () => {
  await assert.rejects(compile("hash:/broken")(STRANGER), TableError);
});
