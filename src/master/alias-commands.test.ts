/** Which commands of aliases the master would run, and as whom. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSnapshot, scopeOf } from "../config/load.ts";
import { aliasCommands } from "./alias-commands.ts";

const ACCOUNTS = {
  passwd: "root:x:0:0::/root:/bin/sh\npostern:x:100:200::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
  group: "root:x:0:\n",
};

async function commandsOf(entries: Readonly<Record<string, string>>, mainCf = "", uid = 0) {
  const files: Readonly<Record<string, string>> = {
    "/c/main.cf": `compatibility_level = 3.10\nmail_owner = postern\nqueue_directory = /q\nexport_environment = TZ\n${mainCf}`,
    "/c/master.cf": "",
  };
  const { snapshot } = await loadSnapshot({
    ...{ configDirectory: "/c", generation: 0, hostname: "h", mailVersion: "0", interfaces: [] },
    readFile: async (path) => Buffer.from(files[path] ?? ""),
  });
  assert.ok(snapshot);
  const context = { accounts: ACCOUNTS, uid, environment: { TZ: "UTC" }, exists: () => true };
  return new Map(aliasCommands(Object.entries(entries), { snapshot, params: scopeOf(snapshot), context }));
}

test("aliasCommands() takes aliases that are one plain command", async () => {
  const commands = await commandsOf({
    ...{ prog: '"|/bin/prog -x"', root: "me@x.test", two: '"|/bin/a", "|/bin/b"', mixed: '"|/bin/a", b@x.test' },
    ...{ shell: '"|/bin/a > b"', file: "/var/mail/x", list: ":include:/x" },
  });
  assert.deepEqual([...commands.keys()], ["alias:prog"]);
  const { command, ...spec } = commands.get("alias:prog") ?? assert.fail();
  assert.deepEqual([command.argv, [...command.flags].join("")], [["/bin/prog", "-x"], "FROXD"]);
  assert.deepEqual([spec.account, spec.refusal], [{ uid: 65534, gid: 65534 }, undefined]);
  assert.deepEqual([spec.environment, spec.directory], [{ TZ: "UTC", PATH: "/usr/bin:/bin" }, "/q"]);
  assert.deepEqual(spec.messages, { directory: "/q/pipe", uid: 100 });
});

const REFUSALS = [
  { mainCf: "default_privs = root\n", want: "request to deliver as root" },
  { mainCf: "default_privs = postern\n", want: "request to deliver as mail system owner" },
  { mainCf: "default_privs = nosuch\n", want: "unknown user name: nosuch" },
];
for (const { mainCf, want } of REFUSALS) {
  test(`aliasCommands() runs nothing with ${mainCf.trim()}`, async () => {
    const spec = (await commandsOf({ prog: '"|/bin/prog"' }, mainCf)).get("alias:prog");
    assert.deepEqual([spec?.account, spec?.refusal], [undefined, want]);
  });
}
