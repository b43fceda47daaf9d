import assert from "node:assert/strict";
import { test } from "node:test";
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { pinRestartParameters } from "./pinned.ts";

function snapshot(generation: number, settings: Readonly<Record<string, string>>): ConfigSnapshot {
  const mainCf = Object.entries(settings).map(([name, value]) => ({ name, value, at: { file: "main.cf", line: 1 } }));
  const builtins = new Map([["myhostname", "mail.example.org"]]);
  return { generation, configDirectory: "/etc/postern", mainCf, services: [], files: new Map(), builtins };
}

test("a reload keeps queue_directory and says so; everything else is new", () => {
  const running = snapshot(1, { queue_directory: "/var/spool/a", myorigin: "old.example" });
  const { snapshot: pinned, kept } = pinRestartParameters(
    running,
    snapshot(2, { queue_directory: "/var/spool/b", myorigin: "new.example" }),
  );
  assert.deepEqual(kept, ["queue_directory"]);
  assert.equal(scopeOf(pinned).get("queue_directory"), "/var/spool/a");
  assert.equal(scopeOf(pinned).text("myorigin"), "new.example");
  assert.equal(pinned.generation, 2);
});

test("a reload without such a change is left as it is", () => {
  const next = snapshot(2, { myorigin: "new.example" });
  assert.equal(pinRestartParameters(snapshot(1, {}), next).snapshot, next);
});
