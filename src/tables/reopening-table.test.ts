/** tables/reopening-table.test.ts: an edited table file counts at the next lookup; a removed one is an error, not "not found". */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Log } from "../log/log.ts";
import { createTableOpener } from "./open.ts";
import { TableError } from "./table.ts";

function setUp(initial: Readonly<Record<string, string>>) {
  const files = new Map(Object.entries(initial));
  const reads: string[] = [];
  let tell: (changed: ReadonlySet<string>) => void = () => undefined;
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const source = {
    read(path: string) {
      reads.push(path);
      const text = files.get(path);
      if (text === undefined) throw new TableError(`open ${path}: No such file or directory`);
      return Buffer.from(text);
    },
    onChange(run: typeof tell) {
      tell = run;
    },
  };
  const edit = (path: string, text: string | undefined) => {
    if (text === undefined) files.delete(path);
    else files.set(path, text);
    tell(new Set([path]));
  };
  return { opener: createTableOpener({ files: source, log, configDirectory: "/" }), edit, reads };
}

const KINDS = [
  { ref: "texthash:/t", one: "k one", two: "k two" },
  { ref: "proxy:hash:/t", one: "k one", two: "k two" },
  { ref: "regexp:/t", one: "/k/ one", two: "/k/ two" },
  { ref: "pcre:/t", one: "/(?=k)k/ one", two: "/(?=k)k/ two" },
  { ref: "unionmap:{hash:/t}", one: "k one", two: "k two" },
  { ref: "pipemap:{static:k, regexp:/t}", one: "/k/ one", two: "/k/ two" },
];

for (const c of KINDS) {
  test(`get() sees an edit: ${c.ref}`, async () => {
    const { opener, edit } = setUp({ "/t": c.one });
    const table = opener.open(c.ref);
    assert.equal(await table.get("k"), "one");
    edit("/t", c.two);
    assert.equal(await table.get("k"), "two");
    edit("/t", undefined);
    await assert.rejects(async () => table.get("k"), TableError);
    edit("/t", c.one);
    assert.equal(await table.get("k"), "one");
    await opener.close?.();
  });
}

for (const ref of ["texthash:/t", "unionmap:{texthash:/t}", "pipemap:{texthash:/t, static:one}"]) {
  test(`get() answers when a file that was missing has come: ${ref}`, async () => {
    const { opener, edit } = setUp({});
    const table = opener.open(ref);
    assert.match(table.problem ?? "", /No such file/);
    await assert.rejects(async () => table.get("k"), TableError);
    edit("/t", "k one");
    assert.equal(table.problem, undefined);
    assert.equal(await table.get("k"), "one");
  });
}

test("get() reads nothing while nothing it was made of has changed", () => {
  const { opener, edit, reads } = setUp({ "/t": "k one", "/u": "" });
  const table = opener.open("hash:/t");
  for (let i = 0; i < 10; i++) table.get("k");
  edit("/u", "x y");
  assert.equal(table.get("k"), "one");
  assert.deepEqual(reads, ["/t.postern-index", "/t"]);
});

test("an answer that is under way is given by the table it was asked of", async () => {
  const { opener, edit } = setUp({ "/t": "/(?=k)k/ one" });
  const table = opener.open("pcre:/t");
  const answer = table.get("k");
  edit("/t", "/k/ two");
  assert.equal(await table.get("k"), "two");
  assert.equal(await answer, "one");
  await opener.close?.();
});
