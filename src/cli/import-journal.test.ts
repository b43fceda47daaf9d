/** What the journal of an import says after the machine has lost its power. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { QueueId } from "../mail/queue-id.ts";
import { ImportJournal } from "./import-journal.ts";

const FIRST = { id: "A000001", arrivalMs: 1000, queueId: "0000000000001" as QueueId };
const SECOND = { id: "A000002", arrivalMs: 2000, queueId: "0000000000002" as QueueId };

test("a line that was cut off spoils no other, wherever it was cut", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "journal-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "imported");
  const reopened = (use: (journal: ImportJournal) => void) => {
    const journal = new ImportJournal(directory);
    use(journal);
    journal.close();
  };
  reopened((journal) => journal.begin(FIRST));
  const length = readFileSync(path).length;
  for (let size = length; size >= 0; size--) {
    truncateSync(path, size);
    reopened((journal) => journal.begin(SECOND));
    reopened((journal) => {
      assert.equal(journal.begunAs(SECOND), SECOND.queueId, `cut to ${size} of ${length} bytes`);
      assert.equal(journal.begunAs(FIRST), size >= length ? FIRST.queueId : undefined);
      assert.deepEqual([journal.has(FIRST), journal.has(SECOND)], [false, false]);
    });
  }
});
