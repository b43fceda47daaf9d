/** cleanup/rewrite-fields.test.ts: what becomes of header fields. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { type Address, asAddress } from "../mail/address.ts";
import { rewriteAddress, rewriteRules } from "../rewrite/canonical.ts";
import { createResolver } from "../rewrite/create.ts";
import { createMappings } from "../rewrite/mappings.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { parseFields } from "./header-block.ts";
import { rewriteFields } from "./rewrite-fields.ts";

async function rewritten(header: string, settings: Record<string, string> = {}): Promise<string> {
  const files = {
    read(path: string): Uint8Array {
      throw new TableError(`open ${path}: No such file or directory`);
    },
  };
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
  const params = parametersOf({ myorigin: "o.test", mydomain: "d.test", append_dot_mydomain: "yes", ...settings });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const rules = rewriteRules(params);
  const fields = await rewriteFields(parseFields(Buffer.from(header, "latin1"), 100_000), {
    rewrite: (address: Address) => rewriteAddress(address, rules),
    mappings: createMappings(params, { tables, resolver }),
    warn: () => undefined,
  });
  return fields.map(({ text }) => text).join("\r\n");
}

const MAPS = {
  canonical_maps: "inline:{ {a@x.test = Ann.Lee@y.test}, {q@x.test = two words@y.test}, {j\u00fc@x.test = ju@y.test} }",
};
const CASES = [
  { in: "From: ann", want: "From: ann@o.test", why: "append_at_myorigin" },
  {
    in: 'To: "Ann, L." <ann> (boss),\r\n\tb@host',
    want: 'To: "Ann, L." <ann@o.test> (boss),\r\n\tb@host.d.test',
    why: "all else stays",
  },
  { in: "Cc: team: ann, b@x.test;", want: "Cc: team: ann@o.test, b@x.test;", why: "inside a group" },
  { in: "To: site!user, user%dom.test", want: "To: user@site.d.test, user@dom.test", why: "old routing" },
  { in: "To: ann@, bob", want: "To: ann@, bob@o.test", why: "an empty domain is not completed" },
  { in: "To: ann@host.", want: "To: ann@host", why: "a final dot: complete" },
  { in: "Subject: ann", want: "Subject: ann", why: "not an address field" },
  {
    in: "To:   <b@x.test>  ,(c)c@x.test",
    want: "To:   <b@x.test>  ,(c)c@x.test",
    why: "odd spacing, complete addresses",
  },
  { in: "From: Ann <a@x.test>", want: "From: Ann <Ann.Lee@y.test>", set: MAPS, why: "canonical_maps" },
  {
    in: "From: =?x?q?A?= <j\xc3\xbc@x.test>",
    want: "From: =?x?q?A?= <ju@y.test>",
    set: MAPS,
    why: "an address in UTF-8",
  },
  { in: "From: <\xfc@x.test>", want: "From: <\xfc@x.test>", set: MAPS, why: "other bytes stay" },
  {
    in: "From: a@x.test\r\nTo: a@x.test",
    want: "From: Ann.Lee@y.test\r\nTo: a@x.test",
    set: { ...MAPS, canonical_classes: "header_sender" },
    why: "canonical_classes",
  },
  {
    in: "To: a@h.z.test, b@z.test",
    want: "To: a@z.test, b@z.test",
    set: { masquerade_domains: "z.test" },
    why: "masquerade_domains",
  },
];
for (const c of CASES) {
  test(`rewriteFields() ${c.why}: ${JSON.stringify(c.in)}`, async () => {
    assert.equal(await rewritten(c.in, c.set), c.want);
  });
}

test("rewriteFields() reads header_address_token_limit words and marks, and loses nothing", async () => {
  const fields = [{ name: "to", text: "To: a, <b>, c d <e>, f" }];
  const rewrite = () => asAddress("x@y.test");
  const at = async (tokenLimit: number) =>
    (await rewriteFields(fields, { rewrite, mappings: undefined, tokenLimit, warn: () => undefined }))[0]?.text;
  assert.equal(await at(100), "To: x@y.test, <x@y.test>, c d <x@y.test>, x@y.test");
  assert.equal(await at(7), "To: x@y.test, <x@y.test>, c d <e>, f");
  assert.equal(await at(1), "To: a, <b>, c d <e>, f");
});

test("rewriteFields() takes any bytes; complete addresses keep every byte", async () => {
  const complete = fc.constantFrom(
    "a@b.test",
    "Ann <a@b.test>",
    '"x, y" <a@b.test>',
    "(c) a@b.test",
    "g: a@b.test;",
    "=?u?q?x?= <a@b.test>",
  );
  const gap = fc.constantFrom(",", ", ", ",\r\n ", " , ");
  await fc.assert(
    fc.asyncProperty(fc.array(complete, { minLength: 1 }), gap, async (all, between) => {
      const header = `To: ${all.join(between)}`;
      assert.equal(await rewritten(header), header);
      assert.equal(await rewritten(header, MAPS), header);
    }),
    { numRuns: 50 },
  );
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary" }), async (value) => void (await rewritten(`To: ${value}`, MAPS))),
    { numRuns: 200 },
  );
});
