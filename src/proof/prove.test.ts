/** Property of proof/: for random configurations and random clients the abstract answer holds what the real evaluator says.
 *  "never": no client of the kind gets through; "always": the example does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AccessSession, Facts, Verdict } from "../access/access.ts";
import { type AccessDeps, compileAccess } from "../access/compile.ts";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createResolver } from "../rewrite/create.ts";
import { createTableOpener } from "../tables/open.ts";
import { compileAddressList } from "../tables/pattern-list.ts";
import { TableError } from "../tables/table.ts";
import { peerWith } from "./choices.ts";
import { type Matrix, proveService } from "./prove.ts";
import { type Candidate, factsOf, type Host, type Scene } from "./scenario.ts";

const LISTS = ["client", "helo", "sender", "relay", "recipient"] as const;

const VALUES = [
  "OK",
  "REJECT",
  "DUNNO",
  "HOLD",
  "DISCARD",
  "DEFER_IF_PERMIT",
  "450 later",
  "RELAY",
  "first",
  "second",
  "permit_mynetworks, reject",
  "reject_unauth_destination, permit",
  "warn_if_reject, first",
];
const KEYS: Readonly<Record<string, readonly string[]>> = {
  client: ["12", "12.34", "8.8.8.8", "example", "partner.example", "unknown"],
  helo: ["friend.example", ".friend.example", "pc"],
  sender: ["friend.example", ".friend.example", "boss@friend.example", "boss@", "<>", "example.org"],
  recipient: ["example", "far.example", "boss@", "example.org", "boss@example.org", "relay.example"],
};
const PATTERNS = ["/friend/", "/^boss@/", "!/example/", "/^12\\./", "/^x@.*\\.example$/", "/^b\\x6fss@/"];
const NETWORKS = ["127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0", "12.0.0.0/8", "!12.99.0.0/16", "192.0.2.0/24", "2000::/3"];

const value = fc.constantFrom(...VALUES);

/** A table for one kind of key: inline, static, cidr, or patterns. */
function table(kind: string): fc.Arbitrary<string> {
  const pair = fc.tuple(fc.constantFrom(...(KEYS[kind] ?? [])), value).map(([key, v]) => `{${key} = ${v}}`);
  const rule = fc.tuple(fc.constantFrom(...PATTERNS), value).map(([pattern, v]) => `{${pattern} ${v}}`);
  const net = fc.tuple(fc.constantFrom(...NETWORKS), value).map(([network, v]) => `{${network} ${v}}`);
  const several = (item: fc.Arbitrary<string>) => fc.array(item, { minLength: 1, maxLength: 3 });
  return fc.oneof(
    { weight: 5, arbitrary: several(pair).map((items) => `inline:{${items.join(", ")}}`) },
    { weight: 1, arbitrary: value.map((v) => `static:{${v}}`) },
    { weight: 1, arbitrary: several(rule).map((items) => `pcre:{${items.join(", ")}}`.replaceAll("$", "$$$$")) },
    { weight: kind === "client" ? 3 : 0, arbitrary: several(net).map((items) => `cidr:{${items.join(", ")}}`) },
  );
}

const WORDS = [
  "permit",
  "reject",
  "defer",
  "permit_mynetworks",
  "permit_sasl_authenticated",
  "permit_auth_destination",
  "reject_unauth_destination",
  "defer_unauth_destination",
  "warn_if_reject",
  "defer_if_permit",
  "defer_if_reject",
  "reject_non_fqdn_sender",
  "reject_non_fqdn_recipient",
  "reject_invalid_helo_hostname",
  "reject_non_fqdn_helo_hostname",
  "reject_plaintext_session",
  "reject_unauthenticated_sender_login_mismatch",
  "reject_unlisted_recipient",
  "reject_unverified_sender",
  "reject_unverified_recipient",
  "permit_tls_clientcerts",
  "permit_tls_all_clientcerts",
  "permit_inet_interfaces",
  "first",
  "second",
];

const word = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...WORDS) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom("client", "helo", "sender", "recipient")
      .chain((kind) => table(kind).map((ref) => `check_${kind}_access ${ref}`)),
  },
);
const list = fc.array(word, { maxLength: 4 }).map((words) => words.join(", "));

/** A configuration without anything that is not seen, but patterns. */
const settings = fc
  .record({
    mynetworks: fc.array(fc.constantFrom(...NETWORKS), { maxLength: 2 }).map((items) => items.join(", ")),
    first: list,
    second: list,
    client: list,
    helo: list,
    sender: list,
    relay: list,
    recipient: list,
    delay: fc.boolean(),
    heloRequired: fc.boolean(),
    tls: fc.constantFrom("none", "may", "encrypt"),
    ask: fc.boolean(),
    owners: fc.boolean(),
    relayDomain: fc.boolean(),
  })
  .map(
    (c): Record<string, string> => ({
      compatibility_level: "3.10",
      mydestination: "example.org",
      mynetworks: c.mynetworks,
      local_recipient_maps: "",
      relay_domains: c.relayDomain ? "relay.example" : "",
      smtpd_restriction_classes: "first, second",
      first: c.first,
      second: c.second,
      ...Object.fromEntries(LISTS.map((stage) => [`smtpd_${stage}_restrictions`, c[stage]])),
      smtpd_delay_reject: yesNo(c.delay),
      smtpd_helo_required: yesNo(c.heloRequired),
      smtpd_sasl_auth_enable: "yes",
      smtpd_tls_security_level: c.tls,
      smtpd_tls_ask_ccert: yesNo(c.ask),
      smtpd_sender_login_maps: c.owners ? "inline:{boss@friend.example=boss}" : "",
      relay_clientcerts: "inline:{AA:BB=yes}",
    }),
  );

function yesNo(yes: boolean): string {
  return yes ? "yes" : "no";
}

/** Strangers as they may really come. No verified name or address of theirs is one that a table trusts by itself. */
const host: fc.Arbitrary<Host> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("198.51.100.9", "12.98.1.1", "100.1.2.3", "2a00:1450::1"),
      fc.constantFrom("unknown", "mail.other.example", "a.stranger.test", "other.example"),
    )
    .map(([address, name]) => ({ address, name, reverseName: name })),
  fc.constant({ address: "12.98.7.7", name: "unknown", reverseName: "partner.example" }),
);
const stranger = fc.record({
  host,
  helo: fc.constantFrom("friend.example", "a.friend.example", "pc", "[1.2.3.4]", "bad helo", "x.test", undefined),
  sender: fc.constantFrom(
    "",
    "boss@friend.example",
    "x@friend.example",
    "x@a.friend.example",
    "boss@x.test",
    "x@y",
    "x@example.org",
  ),
  foreign: fc.constantFrom("x@unlisted.test", "boss@unlisted.test", "x@other.example", "x%unlisted.test@example.org"),
  local: fc.constantFrom("x@example.org", "boss@example.org", "x@a@example.org"),
  certificate: fc.constantFrom("none", "own", "public"),
});

interface World {
  readonly matrix: Matrix;
  readonly newSession: () => AccessSession;
}

async function worldOf(main: Record<string, string>, caCertificates: number): Promise<World> {
  const params = parametersOf(main);
  const log = new Log({ sink: () => undefined, now: systemClock.now, tag: "t", id: 1 });
  const files = {
    read: (path: string) => {
      throw new TableError(`no ${path}`);
    },
  };
  const tables = createTableOpener({ files, log, configDirectory: "/c" });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const mynetworks = compileAddressList(params.get("mynetworks"), { opener: tables });
  const deps: AccessDeps = { tables, resolver, log, mynetworks };
  const access = compileAccess(params, deps);
  // The proof asks nobody; the stranger writes to addresses that exist.
  const prober = { query: () => ({ kind: "deliverable", text: "" }) as const };
  const { policy } = compileAccess(params, { ...deps, prober });
  const matrix = await proveService({ access, mynetworks, placeOf: () => "main.cf:1", caCertificates });
  return { matrix, newSession: () => policy.newSession() };
}

/** What the server says, command by command. */
async function isAccepted({ newSession }: World, facts: Facts): Promise<boolean> {
  const session = newSession();
  const at = { helo: undefined, sender: undefined, recipient: undefined };
  const connect: Facts = { ...facts, ...at, command: "CONNECT" };
  const helo: Facts = { ...facts, sender: undefined, recipient: undefined, command: "EHLO" };
  const verdicts: Verdict[] = [await session.atConnect(connect)];
  if (facts.helo !== undefined) verdicts.push(await session.atHelo(helo));
  verdicts.push(await session.atMail({ ...facts, recipient: undefined, command: "MAIL" }));
  verdicts.push(await session.atRcpt(facts));
  return verdicts.every(
    ({ decision, effects }) => decision.kind === "permit" && !effects.some(({ kind }) => kind === "discard"),
  );
}

test("what is proven holds for real clients", async () => {
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.boolean(),
      fc.array(stranger, { minLength: 4, maxLength: 8 }),
      async (main, publicCa, clients) => {
        const world = await worldOf(main, publicCa ? 140 : 1);
        for (const cell of world.matrix.cells) {
          const isStranger = cell.client === "stranger" || cell.client === "strangerTls";
          const tls = cell.client === "strangerTls" || (!isStranger && main["smtpd_tls_security_level"] !== "none");
          const scene: Scene = { client: cell.client, destination: cell.destination, tls, saslEnabled: true };
          if (cell.verdict === "always") {
            assert.ok(cell.candidate);
            const said = `${JSON.stringify(main, undefined, 1)} ${JSON.stringify({ ...cell, outlook: "" })}`;
            assert.ok(await isAccepted(world, factsOf(cell.candidate, scene)), `always, but refused: ${said}`);
          }
          const never = cell.verdict === "never" && cell.note === "";
          if (!isStranger || !never || (cell.destination !== "foreign" && cell.destination !== "local")) continue;
          for (const client of clients) {
            if (client.helo === undefined && main["smtpd_helo_required"] === "yes") continue;
            const candidate = realClient(client, { destination: cell.destination, main, publicCa, tls });
            const said = `${JSON.stringify(main, undefined, 1)} ${JSON.stringify(candidate)} ${cell.client}`;
            assert.ok(!(await isAccepted(world, factsOf(candidate, scene))), `never, but accepted: ${said}`);
          }
        }
      },
    ),
    { numRuns: Number(process.env["POSTERN_PROOF_RUNS"] ?? 60) },
  );
});

interface Setting {
  readonly destination: "foreign" | "local";
  readonly main: Record<string, string>;
  readonly publicCa: boolean;
  readonly tls: boolean;
}

type Stranger = typeof stranger extends fc.Arbitrary<infer T> ? T : never;

/** A certificate only where one is asked for, and of a public CA only where one is trusted. */
function realClient(client: Stranger, { destination, main, publicCa, tls }: Setting): Candidate {
  const { host: from, helo, sender, certificate } = client;
  const shown = tls && main["smtpd_tls_ask_ccert"] === "yes" && certificate !== "none";
  const trusted = certificate === "public" && publicCa;
  return {
    host: from,
    helo,
    sender,
    recipient: client[destination],
    peer: shown ? peerWith("", { trusted }) : undefined,
  };
}
