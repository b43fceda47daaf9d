/** The virtual agent, with real directories and tables. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { maildirNames } from "./maildir-name.ts";
import { MESSAGE, never, type RequestOptions, requestFor, told } from "./testdata/site.ts";
import { createVirtualAgent } from "./virtual.ts";

const MAPS = {
  virtual_mailbox_maps:
    "inline:{ {alice@v.test = v.test/alice/}, {box@v.test = v.test/box}, {@all.test = all.test/}, {up@v.test = ../x/} }",
  virtual_uid_maps: "static:5000",
  virtual_gid_maps: "static:5000",
  recipient_delimiter: "+",
};

interface World {
  readonly root: string;
  readonly warnings: readonly string[];
  deliver(to: readonly string[], options?: RequestOptions): Promise<readonly string[]>;
}

function worldOf(t: { after(run: () => void): void }, set: Readonly<Record<string, string>> = {}): World {
  const root = mkdtempSync(join(tmpdir(), "virtual-"));
  t.after(() => rmSync(root, { recursive: true }));
  const params = parametersOf({ virtual_mailbox_base: root, ...MAPS, ...set });
  const files = {
    read(path: string): Uint8Array {
      throw new TableError(`open ${path}: No such file or directory`);
    },
  };
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
  const open = (refs: readonly string[]) => refs.map((ref) => tables.open(ref));
  const warnings: string[] = [];
  const agent = createVirtualAgent({
    ...{ params, clock: systemClock, uid: 5000, warn: (text) => warnings.push(text) },
    tables: {
      mailboxes: open(params.get("virtual_mailbox_maps")),
      uids: open(params.get("virtual_uid_maps")),
      gids: open(params.get("virtual_gid_maps")),
    },
    nextFileName: maildirNames({ clock: systemClock, hostname: "h.test", pid: 1 }),
  });
  return {
    root,
    warnings,
    deliver: async (to, options) => (await agent.deliver(requestFor(to, options), never)).flatMap(told),
  };
}

test("virtual delivers into new/, with its headers on top", async (t) => {
  const world = worldOf(t);
  assert.deepEqual(await world.deliver(["Alice+x@V.test"], { sender: "s@x.test", original: "first@v.test" }), [
    "sent 2.0.0 delivered to maildir",
  ]);
  const directory = join(world.root, "v.test/alice/new");
  const [name = ""] = readdirSync(directory);
  assert.equal(
    readFileSync(join(directory, name), "utf8"),
    `Return-Path: <s@x.test>\nX-Original-To: first@v.test\nDelivered-To: Alice+x@V.test\n${MESSAGE.replaceAll("\r\n", "\n")}`,
  );
});

const CASES: readonly {
  to: string;
  set?: Record<string, string>;
  want: string;
  log?: RegExp;
  options?: RequestOptions;
  why: string;
}[] = [
  { to: "any@all.test", want: "sent 2.0.0 delivered to maildir", why: "a domain" },
  { to: "None@v.test", want: 'bounced 5.1.1 unknown user: "none@v.test"', why: "nobody" },
  { to: "alice", want: 'bounced 5.1.1 unknown user: "alice"', why: "no domain" },
  { to: "loop@here.test", want: "bounced 5.4.6 mail forwarding loop for loop@here.test", why: "a loop" },
  { to: "alice@v.test", options: { probe: true }, want: "sent 2.0.0 delivers to maildir", why: "a probe" },
  {
    to: "alice@v.test",
    set: { virtual_mailbox_maps: "fail:x" },
    want: "deferred 4.3.0 table lookup problem",
    why: "a table that fails",
  },
  {
    to: "alice@v.test",
    set: { virtual_uid_maps: "fail:x" },
    want: "deferred 4.3.0 table lookup problem",
    why: "another",
  },
  {
    to: "alice@v.test",
    set: { virtual_mailbox_limit: "20" },
    want: "bounced 5.2.2 maildir delivery failed: message is larger than virtual_mailbox_limit",
    why: "a large message",
  },
  { to: "alice@v.test", set: { virtual_mailbox_limit: "0" }, want: "sent 2.0.0 delivered to maildir", why: "no limit" },
  ...(
    [
      ["box@v.test", {}, /mailbox \S+\/v\.test\/box is no maildir: its name must end in \/$/, "a mailbox file"],
      ["up@v.test", {}, /mailbox \S+\/\.\.\/x\/ leads upwards$/, "a path out of the base"],
      [
        "alice@v.test",
        { virtual_mailbox_base: "" },
        /mailbox v\.test\/alice\/ is not absolute: set virtual_mailbox_base$/,
        "no base",
      ],
      ["alice@v.test", { virtual_uid_maps: "" }, /not found in virtual_uid_maps$/, "no uid"],
      ["alice@v.test", { virtual_uid_maps: "static:99" }, /bad uid 99 in virtual_uid_maps$/, "virtual_minimum_uid"],
      [
        "alice@v.test",
        { virtual_uid_maps: "static:vmail" },
        /bad uid vmail in virtual_uid_maps$/,
        "a uid that is none",
      ],
      ["alice@v.test", { virtual_gid_maps: "" }, /not found in virtual_gid_maps$/, "no gid"],
      ["alice@v.test", { virtual_gid_maps: "static:0" }, /bad gid 0 in virtual_gid_maps$/, "root's group"],
      [
        "alice@v.test",
        { virtual_uid_maps: "static:6000" },
        /virtual_uid_maps says 6000, but mail is written by uid 5000 only: /,
        "another user",
      ],
    ] as const
  ).map(([to, set, log, why]) => ({ to, set, log, why, want: "deferred 4.3.5 mail system configuration error" })),
];
for (const c of CASES) {
  test(`virtual: ${c.why}`, async (t) => {
    const world = worldOf(t, c.set);
    assert.deepEqual(await world.deliver([c.to], c.options), [c.want]);
    assert.match(world.warnings.join("\n"), c.log ?? /^$/);
    assert.equal(readdirSync(world.root).length, c.want.includes("delivered to") ? 1 : 0);
  });
}

test("virtual defers when the disk refuses, and goes on with the next recipient", async (t) => {
  const world = worldOf(t);
  writeFileSync(join(world.root, "v.test"), "");
  const [first, second] = await world.deliver(["alice@v.test", "b@all.test"]);
  assert.match(first ?? "", /^deferred 4\.3\.0 maildir delivery failed: \w+: ENOTDIR: not a directory$/);
  assert.equal(second, "sent 2.0.0 delivered to maildir");
});
