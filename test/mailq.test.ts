/** test/mailq.test.ts: the columns of mailq follow enable_long_queue_ids, as Postfix's do. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { idsOf, messageFor, openedStore } from "../src/queue/testdata/fixture.ts";
import { TestServer } from "./testbed/server.ts";

for (const { long, heading, id } of [
  {
    long: "no",
    heading: "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------",
    id: /^[0-9A-F]{15} +\d+ /,
  },
  {
    long: "yes",
    heading: "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------",
    id: /^[0-9B-Zb-z]{12} {6} +\d+ /,
  },
]) {
  test(`mailq with enable_long_queue_ids = ${long}`, async () => {
    await using server = new TestServer({
      mainCf: `compatibility_level = 3.10\nenable_long_queue_ids = ${long}\n`,
      masterCf: "",
    });
    const { store } = await openedStore(join(server.directory, "spool/queue"));
    const queueId = idsOf(0, store.floorMicros, long === "yes").next();
    await store.append(messageFor(queueId), { claim: false });
    await store.close();
    const { code, stdout, stderr } = await server.run(["mailq"]);
    assert.equal(code, 0, stderr);
    const [first, second = ""] = stdout.split("\n");
    assert.equal(first, heading);
    assert.match(second, id);
    assert.ok(second.startsWith(queueId));
  });
}
