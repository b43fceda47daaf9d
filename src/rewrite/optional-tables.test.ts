/** rewrite/optional-tables.test.ts: tables that only a default names, and that this machine has not, are nobody's trouble. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { createRecipientTables, openAliases } from "./recipients.ts";

function world(settings: Readonly<Record<string, string>>) {
  const lines: string[] = [];
  const log = new Log({ sink: ({ text }) => void lines.push(text), now: () => 0, tag: "t", id: 1 });
  const files = {
    read: (path: string) => {
      throw new TableError(`open ${path}: No such file or directory`);
    },
    onChange: () => undefined,
  };
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern", environment: {} } as never);
  const params = parametersOf({ local_recipient_maps: "$alias_maps", ...settings });
  createRecipientTables(params, tables);
  return { aliases: openAliases(params, tables).map(({ ref }) => ref), lines };
}

test("the default of alias_maps: what is not there is left out in silence", () => {
  assert.deepEqual(world({}), { aliases: [], lines: [] });
});

test("what the operator wrote is kept, and its trouble is told", () => {
  const { aliases, lines } = world({ alias_maps: "nis:mail.aliases" });
  assert.deepEqual(aliases, ["nis:mail.aliases"]);
  assert.match(lines.join("\n"), /^nis:mail\.aliases is unavailable\. unsupported dictionary type: nis$/m);
});
