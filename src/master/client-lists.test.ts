import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import type { ClientEndpoint } from "../mail/client.ts";
import { type Answer, type LookupTable, TableError } from "../tables/table.ts";
import { clientLists } from "./client-lists.ts";
import { SnapshotFiles } from "./snapshot-files.ts";

const client: ClientEndpoint = {
  ...{ address: "192.0.2.7", port: 4711, nameStatus: "verified" },
  ...{ name: "mail.example.net", reverseName: "mail.example.net" },
};

/** Tables by their type: what they answer for the client's address. */
const TABLES: Readonly<Record<string, () => Answer | Promise<Answer>>> = {
  yes: () => "x",
  later: async () => "x",
  no: async () => undefined,
  broken: () => {
    throw new TableError("no disk");
  },
  down: async () => {
    throw new TableError("no server");
  },
};

function listsOf(settings: Readonly<Record<string, string>>) {
  const warnings: string[] = [];
  const log = new Log({ sink: ({ text }) => warnings.push(text), now: () => 0, tag: "postfix/smtpd", id: 1 });
  const open = (ref: string): LookupTable => ({
    ...{ ref, partialKeys: false },
    get: (key) => (key === client.address ? TABLES[ref.split(":")[0] ?? ""]?.() : undefined),
  });
  const lists = clientLists({
    params: parametersOf(settings),
    tables: { open },
    files: new SnapshotFiles(new Map()),
    log,
  });
  return { lists, warnings };
}

const cases = [
  { list: "", want: false, why: "an empty list" },
  { list: "192.0.2.0/24", want: true, why: "a network" },
  { list: "mail.example.net", want: true, why: "a name" },
  { list: "yes:x", want: true, why: "a table" },
  { list: "later:x", want: true, why: "a table that takes its time" },
  { list: "no:x", want: false, why: "a table without the client" },
  { list: "broken:x", want: undefined, why: "a table that fails" },
  { list: "down:x", want: undefined, why: "a table that fails later" },
  { list: "no:x, 192.0.2.7", want: true, why: "what stands behind such a table" },
];
for (const { list, want, why } of cases) {
  test(`clientLists() ${why}: ${list}`, async () => {
    const { lists, warnings } = listsOf({ smtpd_authorized_xclient_hosts: list });
    assert.equal(await lists.xclientHosts(client), want);
    assert.equal(warnings.length, want === undefined ? 1 : 0);
    if (want === undefined) assert.match(warnings[0] ?? "", /^smtpd_authorized_xclient_hosts: no (?:disk|server)$/);
  });
}

test("clientLists() debug_peer_list matches by parent domain, the lists that grant something do not", async () => {
  const { lists } = listsOf({ debug_peer_list: "example.net", smtpd_authorized_xforward_hosts: "example.net" });
  assert.equal(await lists.debugPeers(client), true);
  assert.equal(await lists.xforwardHosts(client), false);
});

const uncounted = [
  { set: { smtpd_authorized_xclient_hosts: "192.0.2.7" }, want: true, why: "who may say XCLIENT" },
  { set: { smtpd_authorized_xforward_hosts: "192.0.2.7" }, want: false, why: "not who may say XFORWARD" },
  { set: { smtpd_client_event_limit_exceptions: "192.0.2.7" }, want: true, why: "the exceptions" },
  { set: { smtpd_client_event_limit_exceptions: "down:x" }, want: false, why: "nobody, where they fail" },
];
for (const { set, want, why } of uncounted) {
  test(`clientLists() not counted: ${why}`, async () => {
    assert.equal(await listsOf({ smtpd_client_event_limit_exceptions: "", ...set }).lists.isUncounted(client), want);
  });
}
