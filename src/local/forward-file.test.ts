/** .forward files: where they lead, which of them count, and what is done where that cannot be known. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { type Address, asAddress } from "../mail/address.ts";
import type { DestinationFile } from "./destination-file.ts";
import { type Expansion, expandAlias, expandForwardFile } from "./expansion.ts";
import { findForwardFile } from "./forward-file.ts";
import { Site, type SiteOptions, told } from "./testdata/site.ts";

const FROM = { sender: "s@from.test" };

function siteOf(t: { after(run: () => void): void }, options: SiteOptions): Site {
  const site = new Site({ users: ["alice", "bob"], ...options });
  t.after(() => site.remove());
  return site;
}

interface ForwardCase {
  readonly file?: string;
  readonly text: string;
  readonly mode?: number;
  readonly to?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly want: readonly string[];
  readonly log?: RegExp;
  readonly why: string;
}
const TO_MAILDIR = ["sent 2.0.0 delivered to maildir"];
const FORWARDS: readonly ForwardCase[] = [
  { text: "x@far.test\n", want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"], why: "away" },
  { text: "", want: TO_MAILDIR, why: "an empty file" },
  { text: "# x@far.test\n", want: TO_MAILDIR, why: "a file of comments" },
  { text: "\\alice\n", want: TO_MAILDIR, why: "his own mailbox" },
  {
    text: "\\alice, alice, x@far.test\n",
    want: ["sent 2.0.0 forwarded as Q1", "sent 2.0.0 delivered to maildir", "Q1 from s@from.test to x@far.test"],
    why: "a copy to himself, once",
  },
  { text: "bob\n", want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to bob@here.test"], why: "another user" },
  { text: '"|/bin/true"\n', want: ["bounced 5.7.1 mail to command is restricted"], why: "a command" },
  { text: "~/mbox\n", want: ["bounced 5.7.1 mail to file is restricted"], why: "a file" },
  {
    ...{ file: ".forward+ext", text: "x@far.test\n", to: "alice+ext" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"],
    why: "for an extension",
  },
  { file: ".forward+ext", text: "x@far.test\n", want: TO_MAILDIR, why: "for an extension that is not there" },
  {
    ...{ text: "x@far.test\n", to: "alice+ext", set: { propagate_unmatched_extensions: "forward" } },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x+ext@far.test"],
    why: "the extension goes along where it is to",
  },
  { text: "x@far.test\n", set: { forward_path: "" }, want: TO_MAILDIR, why: "switched off" },
  {
    ...{ text: "x@far.test\n", mode: 0o646, want: TO_MAILDIR, log: /^ABCDEF: file \S+\/\.forward is world writable$/ },
    why: "one that everybody can write is ignored",
  },
  {
    text: "x@far.test\n",
    set: { forward_path: "/nowhere/$user $home/.forward" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"],
    why: "the first path that exists",
  },
];
for (const c of FORWARDS) {
  test(`.forward ${c.why}`, async (t) => {
    const site = siteOf(t, { settings: c.set ?? {} });
    const path = join(site.home("alice"), c.file ?? ".forward");
    writeFileSync(path, c.text);
    chmodSync(path, c.mode ?? 0o644);
    assert.deepEqual(told(await site.deliver(`${c.to ?? "alice"}@here.test`, FROM)), c.want);
    assert.match(site.warnings.join("\n"), c.log ?? /^$/);
    const delivered = c.want.join().includes("maildir") ? 1 : 0;
    const maildir = join(site.home("alice"), "Maildir/new");
    assert.equal(delivered === 0 ? 0 : readdirSync(maildir).length, delivered);
  });
}

test(".forward of a user whom an alias names counts, and an extension cannot leave the home", async (t) => {
  const site = siteOf(t, { settings: { alias_maps: "inline:{ {boss = alice} }" } });
  writeFileSync(join(site.home("alice"), ".forward"), "x@far.test\n");
  mkdirSync(join(site.home("alice"), ".forward+.."));
  writeFileSync(join(site.home("bob"), "x"), "y@far.test\n");
  assert.deepEqual(told(await site.deliver("alice+../../home-bob/x@here.test", FROM)), [
    "sent 2.0.0 forwarded as Q1",
    "Q1 from s@from.test to x@far.test",
  ]);
  assert.deepEqual(told(await site.deliver("boss@here.test", FROM)), [
    "sent 2.0.0 <alice@here.test> forwarded as Q2",
    "Q2 from s@from.test to x@far.test",
  ]);
});

const ODD: readonly { make: (path: string) => void; want: string; log: RegExp; why: string }[] = [
  {
    make: (path) => symlinkSync(path, path),
    want: "deferred 4.3.0 cannot read the user's .forward file",
    log: /^ABCDEF: cannot read \S+\/\.forward: Too many levels of symbolic links$/,
    why: "one that cannot be looked at may say anything",
  },
  {
    make: (path) => mkdirSync(path),
    want: "sent 2.0.0 delivered to maildir",
    log: /^ABCDEF: file \S+\/\.forward is not a regular file$/,
    why: "a directory is none",
  },
];
for (const c of ODD) {
  test(`.forward ${c.why}`, async (t) => {
    const site = siteOf(t, {});
    c.make(join(site.home("alice"), ".forward"));
    assert.deepEqual(told(await site.deliver("alice@here.test", FROM)), [c.want]);
    assert.match(site.warnings.join("\n"), c.log);
  });
}

test(".forward of somebody else is ignored", async (t) => {
  const site = siteOf(t, { uidOf: () => 4_000_000 });
  writeFileSync(join(site.home("alice"), ".forward"), "x@far.test\n");
  const own = process.getuid?.() ?? 0;
  // What root owns counts for everybody.
  const want = own === 0 ? "sent 2.0.0 forwarded as Q1" : "sent 2.0.0 delivered to maildir";
  assert.equal(told(await site.deliver("alice@here.test", FROM))[0], want);
  assert.match(site.warnings.join("\n"), own === 0 ? /^$/ : /has bad owner uid \d+$/);
});

/** What the server's user may read and a user of the machine may not: a password in it would show in a report. */
const SECRETS: readonly {
  readonly ownerUid: number;
  readonly isPublic: boolean;
  readonly uid?: number;
  readonly read: boolean;
  readonly why: string;
}[] = [
  { ownerUid: 0, isPublic: false, read: false, why: "root's, for the server only" },
  { ownerUid: 0, isPublic: true, read: true, why: "root's, for everybody" },
  { ownerUid: 1000, isPublic: false, read: true, why: "his own, for nobody else" },
  { ownerUid: 0, isPublic: false, uid: 0, read: true, why: "root's, and root is the user" },
];
const address = asAddress("alice@here.test");
const expansionOptions = {
  ...{ aliases: [], delimiter: "", propagate: new Set<string>(), expandOwner: false, ownerSpecial: false },
  ...{ resetOwner: false, duplicateLimit: 10, transport: "local", sender: asAddress("s@from.test"), commands: false },
  resolver: {
    rewrite: (given: Address) => given,
    route: (recipient: Address) => ({ transport: "smtp", nexthop: "", recipient }),
  },
};
const NOT_READABLE = /^:include: file \/etc\/secret is not readable for uid 1000$/;

for (const { ownerUid, isPublic, uid = 1000, read, why } of SECRETS) {
  const secret: DestinationFile = { kind: "text", text: "name:password\n", ownerUid, isPublic };
  const logOf = (found: Expansion) => (found.kind === "undecided" ? found.log : "");

  test(`.forward that leads to a file: ${why}`, async () => {
    const user = { name: "alice", uid, gid: 1, home: "/home/alice", shell: "/bin/sh" };
    const forward = await findForwardFile({ params: parametersOf({}), user, address, readFile: async () => secret });
    assert.equal(forward.kind, read ? "forward" : "none");
    assert.match(forward.log ?? "", read ? /^$/ : /^file \/home\/alice\/\.forward is not readable for uid 1000$/);
  });

  test(`.forward with :include: of a file: ${why}`, async () => {
    const options = { ...expansionOptions, readFile: async () => secret };
    const found = await expandForwardFile(
      [{ kind: "include", path: "/etc/secret" }],
      { address, name: "alice", uid },
      options,
    );
    assert.match(logOf(found), read ? /^$/ : NOT_READABLE);
  });

  test(`list of a user with :include: of a file: ${why}`, async () => {
    const list: DestinationFile = { kind: "text", text: ":include:/etc/secret\n", ownerUid: uid, isPublic: true };
    const table = {
      ref: "t",
      partialKeys: false,
      get: (key: string) => (key === "alice" ? ":include:/list" : undefined),
    };
    const readFile = async (path: string) => (path === "/list" ? list : secret);
    const found = await expandAlias(address, { ...expansionOptions, aliases: [table], readFile });
    assert.match(logOf(found), read ? /^$/ : NOT_READABLE);
  });
}
