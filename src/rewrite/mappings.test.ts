/** rewrite/mappings.test.ts: address mappings from settings in main.cf's own words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { createResolver } from "./create.ts";
import { MappingError } from "./mapping-error.ts";
import { type AddressPlace, createMappings } from "./mappings.ts";

function mappingsOf(settings: Readonly<Record<string, string>>) {
  const files = {
    read(path: string): Uint8Array {
      throw new TableError(`open ${path}: No such file or directory`);
    },
  };
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
  const params = parametersOf({
    myhostname: "mail.example.org",
    mydestination: "here.test",
    recipient_delimiter: "+-",
    ...settings,
  });
  return createMappings(params, { tables, resolver: createResolver(params, { tables, ownAddresses: [] }) });
}

const aliases = (entries: string) => ({ virtual_alias_maps: `inline:{ ${entries} }` });

const EXPANSIONS = [
  { set: {}, in: "a@x.test", want: ["a@x.test"], why: "no table (MOD-11)" },
  {
    set: aliases("{a@x.test = b@y.test c@y.test}"),
    in: "a@x.test",
    want: ["b@y.test", "c@y.test"],
    why: "two results",
  },
  {
    set: aliases("{a@x.test = b@y.test}, {b@y.test = c}"),
    in: "A@x.test",
    want: ["c@mail.example.org"],
    why: "recursion",
  },
  {
    set: aliases("{a@x.test = a@x.test b@x.test}"),
    in: "a@x.test",
    want: ["a@x.test", "b@x.test"],
    why: "itself once",
  },
  { set: aliases("{@x.test = all@y.test}"), in: "a@x.test", want: ["all@y.test"], why: "catch-all" },
  { set: aliases("{@x.test = @y.test}"), in: "a@x.test", want: ["a@y.test"], why: "the same user of another domain" },
  { set: aliases("{@x.test = @y.test}"), in: "a+e@x.test", want: ["a+e@y.test"], why: "its extension goes along" },
  {
    set: aliases("{a@x.test = b@y.test}"),
    in: "a+e@x.test",
    want: ["b+e@y.test"],
    why: "an unmatched extension goes along",
  },
  { set: aliases("{a@x.test = b@y.test}"), in: "a-e@x.test", want: ["b-e@y.test"], why: "the second delimiter" },
  {
    set: aliases("{a+e@x.test = b@y.test}"),
    in: "a+e@x.test",
    want: ["b@y.test"],
    why: "a matched extension does not",
  },
  {
    set: { ...aliases("{a@x.test = b@y.test}, {@z.test = @y.test}"), propagate_unmatched_extensions: "" },
    in: "a+e@x.test",
    want: ["b@y.test"],
    why: "nor where it is off",
  },
  {
    set: { ...aliases("{@z.test = @y.test}"), propagate_unmatched_extensions: "" },
    in: "a+e@z.test",
    want: ["a+e@y.test"],
    why: "but the user of another domain stays whole",
  },
  { set: aliases("{root = b@y.test}"), in: "root@here.test", want: ["b@y.test"], why: "a bare key for $mydestination" },
  { set: aliases("{root = b@y.test}"), in: "root@x.test", want: ["root@x.test"], why: "but not for other domains" },
];
for (const c of EXPANSIONS) {
  test(`expand() ${c.why}: ${c.in}`, async () => {
    assert.deepEqual(await mappingsOf(c.set).expand(asAddress(c.in)), c.want);
  });
}

const LATER = " -- message not accepted, try again later";
const FAILURES = [
  {
    set: { virtual_alias_maps: "fail:now" },
    want: `virtual_alias_maps map lookup problem for a@x.test${LATER}`,
    kind: "table",
    why: "a table that fails",
  },
  {
    set: { ...aliases("{a@x.test = b@x.test}, {b@x.test = a@x.test}") },
    want: `unreasonable virtual_alias_maps map nesting for a@x.test${LATER}`,
    kind: "limit",
    why: "a circle",
  },
  {
    set: { ...aliases("{a@x.test = b@x.test c@x.test d@x.test}"), virtual_alias_expansion_limit: "2" },
    want: `unreasonable virtual_alias_maps map expansion size for a@x.test${LATER}`,
    kind: "limit",
    why: "too many",
  },
  {
    set: { ...aliases("{a@x.test = longer@x.test}"), virtual_alias_address_length_limit: "10" },
    want: `unreasonable virtual_alias_maps result longer@x.test...${LATER}`,
    kind: "limit",
    why: "too long",
  },
  {
    set: aliases("{a@x.test = ,}"),
    want: `virtual_alias_maps map lookup problem for a@x.test${LATER}`,
    kind: "table",
    why: "a result that holds no address",
  },
];
for (const c of FAILURES) {
  test(`expand() refuses ${c.why}`, async () => {
    await assert.rejects(mappingsOf(c.set).expand(asAddress("a@x.test")), (error) => {
      assert.ok(error instanceof MappingError);
      assert.deepEqual([error.message, error.kind], [c.want, c.kind]);
      return true;
    });
  });
}

const canonical = "inline:{ {a@x.test = b@y.test}, {many@x.test = one@y.test two@y.test} }";
const hide = { masquerade_domains: "!sub.z.test z.test", masquerade_exceptions: "root" };
const MAPS: readonly { set: Record<string, string>; in: string; want: string; place?: AddressPlace; why: string }[] = [
  { set: { canonical_maps: canonical }, in: "a@x.test", want: "b@y.test", why: "canonical_maps" },
  {
    set: { canonical_maps: canonical },
    in: "a@x.test",
    want: "b@y.test",
    place: "header_recipient",
    why: "everywhere",
  },
  {
    set: { canonical_maps: canonical, canonical_classes: "header_sender" },
    in: "a@x.test",
    want: "a@x.test",
    why: "canonical_classes",
  },
  { set: { sender_canonical_maps: canonical }, in: "a@x.test", want: "b@y.test", why: "sender_canonical_maps" },
  {
    set: { sender_canonical_maps: canonical },
    in: "a@x.test",
    want: "a@x.test",
    place: "envelope_recipient",
    why: "sender_canonical_maps leaves recipients alone",
  },
  {
    set: { sender_canonical_maps: canonical, canonical_maps: "inline:{b@y.test=c@z.test}" },
    in: "a@x.test",
    want: "c@z.test",
    why: "canonical_maps comes last",
  },
  { set: { canonical_maps: canonical }, in: "many@x.test", want: "one@y.test", why: "the first of several" },
  { set: hide, in: "a@h.z.test", want: "a@z.test", why: "masquerade_domains" },
  { set: hide, in: "a@z.test", want: "a@z.test", why: "the domain itself" },
  { set: hide, in: "a@h.sub.z.test", want: "a@h.sub.z.test", why: "a spared subdomain (MOD-11)" },
  { set: hide, in: "root@h.z.test", want: "root@h.z.test", why: "masquerade_exceptions" },
  { set: hide, in: "a@h.z.test", want: "a@h.z.test", place: "envelope_recipient", why: "masquerade_classes" },
  { set: {}, in: "MAILER-DAEMON@mail.example.org", want: "", why: "mailer-daemon is the null sender" },
  { set: { canonical_maps: "static:b@y.test" }, in: "", want: "", why: "the null sender stays" },
];
for (const c of MAPS) {
  test(`map() ${c.why}: ${c.in}`, async () => {
    const mapped = await mappingsOf(c.set).map(asAddress(c.in), c.place ?? "envelope_sender", () => undefined);
    assert.equal(mapped, c.want);
  });
}
