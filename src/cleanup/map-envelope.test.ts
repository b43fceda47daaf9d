/** cleanup/map-envelope.test.ts: who a message is queued for, from settings in main.cf's own words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import { createResolver } from "../rewrite/create.ts";
import { createMappings } from "../rewrite/mappings.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { mapEnvelope } from "./map-envelope.ts";

async function queuedFor(settings: Record<string, string>, to: readonly string[], dsn?: RecipientDsn) {
  const files = {
    read(path: string): Uint8Array {
      throw new TableError(`open ${path}: No such file or directory`);
    },
  };
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
  const params = parametersOf({ myhostname: "mail.example.org", ...settings });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const warnings: string[] = [];
  const mapped = await mapEnvelope(
    {
      sender: asAddress("s@x.test"),
      recipients: to.map((text) => ({ address: asAddress(text), original: asAddress(text), dsn })),
    },
    {
      mappings: createMappings(params, { tables, resolver }),
      params,
      rewrite: (address) => resolver.rewrite(address),
      warn: (text) => void warnings.push(text),
    },
  );
  return { ...mapped, warnings };
}

const TEAM = { virtual_alias_maps: "inline:{ {t@x.test = a@y.test b@y.test}, {u@x.test = a@y.test} }" };
const CASES = [
  { set: {}, to: ["a@y.test"], want: "a@y.test (a@y.test)", why: "no table" },
  { set: {}, to: ["a@y.test", "a@y.test"], want: "a@y.test (a@y.test)", why: "named twice" },
  { set: TEAM, to: ["t@x.test"], want: "a@y.test (t@x.test), b@y.test (t@x.test)", why: "an alias keeps its name" },
  {
    set: TEAM,
    to: ["t@x.test", "u@x.test"],
    want: "a@y.test (t@x.test), b@y.test (t@x.test), a@y.test (u@x.test)",
    why: "two names of one mailbox: two copies",
  },
  {
    set: { ...TEAM, enable_original_recipient: "no" },
    to: ["t@x.test", "u@x.test"],
    want: "a@y.test (t@x.test), b@y.test (t@x.test)",
    why: "enable_original_recipient = no: one copy",
  },
  {
    set: { always_bcc: "log" },
    to: ["a@y.test"],
    want: "a@y.test (a@y.test), log@mail.example.org (log@mail.example.org)",
    why: "always_bcc",
  },
  {
    set: { sender_bcc_maps: "inline:{s@x.test=log@y.test}" },
    to: ["a@y.test"],
    want: "log@y.test (log@y.test), a@y.test (a@y.test)",
    why: "sender_bcc_maps",
  },
  {
    set: { ...TEAM, recipient_bcc_maps: "inline:{@x.test=t@x.test}" },
    to: ["u@x.test"],
    want: "a@y.test (u@x.test), a@y.test (t@x.test), b@y.test (t@x.test)",
    why: "a copy's aliases are expanded, too",
  },
];
for (const c of CASES) {
  test(`mapEnvelope() ${c.why}`, async () => {
    const { recipients } = await queuedFor(c.set, c.to);
    assert.equal(recipients.map(({ address, original }) => `${address} (${original})`).join(", "), c.want);
  });
}

test("what the client asked about reports stays with each result of an alias; copies are never reported", async () => {
  const asked: RecipientDsn = { notify: ["SUCCESS"], orcpt: "rfc822;o@z.test" };
  const { recipients } = await queuedFor({ ...TEAM, always_bcc: "log@y.test" }, ["t@x.test"], asked);
  assert.deepEqual(
    recipients.map(({ dsn }) => dsn),
    [asked, asked, { notify: ["NEVER"] }],
  );
});

test("a canonical entry with several results is warned of", async () => {
  const { warnings, sender } = await queuedFor({ canonical_maps: "inline:{ {s@x.test = a@y.test b@y.test} }" }, []);
  assert.deepEqual([sender, ...warnings], ["a@y.test", "multi-valued canonical_maps entry for s@x.test"]);
});
