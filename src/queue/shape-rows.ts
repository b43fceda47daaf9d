/** queue/shape-rows.ts: the statements that count the mail of one shard by domain and age (shape.ts), some recipients at a
 *  time: only the counts of a page leave SQLite, and commits come between two pages. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { NULL_SENDER, SHAPE_EDGES } from "./shape.ts";
import type { ShapeCount, ShapeQuery } from "./store.ts";

export interface ShapeAsk {
  readonly query: ShapeQuery;
  readonly after: bigint;
  /** Recipients looked at, and those that the last message has more. */
  readonly limit: number;
}

export interface ShapePage {
  readonly counts: readonly ShapeCount[];
  /** Where the next page begins; undefined at the end. */
  readonly next: bigint | undefined;
}

const LAST_KEY = 2n ** 63n - 1n;

/** The messages behind key ?1 up to ?2 that are in one of the queues ?4, with their column by their age at ?3. A message's
 *  queue is what listings say. */
const WANTED = `
  WITH tries AS (
    SELECT message, max(state = 1) AS active, max(reason <> '') AS tried
    FROM recipient WHERE message > ?1 AND message <= ?2 GROUP BY message
  ), wanted AS MATERIALIZED (
    SELECT id, sender, CASE ${SHAPE_EDGES.map((edge, i) => `WHEN age < ${edge * 60_000} THEN ${i}`).join(" ")}
      ELSE ${SHAPE_EDGES.length} END AS age_column
    FROM (
      SELECT id, envelope ->> '$.sender' AS sender, ?3 - (envelope ->> '$.arrivalMs') AS age,
        CASE WHEN held THEN 'hold' WHEN active THEN 'active' WHEN tried THEN 'deferred' ELSE 'incoming' END AS queue
      FROM tries JOIN message ON message.id = tries.message
    ) WHERE queue IN (SELECT value FROM json_each(?4))
  )`;

/** What stands behind the last "@"; null: there is none. rtrim() takes away all characters of the text but "@". */
function domainIn(address: string): string {
  const localEnd = `length(rtrim(${address}, replace(${address}, '@', '')))`;
  return `CASE WHEN instr(${address}, '@') > 0 THEN lower(substr(${address}, ${localEnd} + 1)) END`;
}

export class ShapeRows {
  readonly #pageEnd: StatementSync;
  readonly #by: Readonly<Record<ShapeQuery["by"], StatementSync>>;

  constructor(db: DatabaseSync) {
    this.#pageEnd = db.prepare("SELECT message FROM recipient WHERE message > ? ORDER BY message, id LIMIT 1 OFFSET ?");
    this.#by = {
      recipient: db.prepare(`${WANTED}
        SELECT ${domainIn("address")} AS domain, age_column, count(*) AS n
        FROM wanted JOIN recipient ON recipient.message = wanted.id GROUP BY 1, 2`),
      sender: db.prepare(`${WANTED}
        SELECT CASE WHEN sender = '' THEN '${NULL_SENDER}' ELSE ${domainIn("sender")} END AS domain, age_column,
          count(*) AS n
        FROM wanted GROUP BY 1, 2`),
    };
  }

  page({ query, after, limit }: ShapeAsk): ShapePage {
    const last = this.#pageEnd.get(after, limit - 1)?.message as bigint | undefined;
    const queues = JSON.stringify(query.queues);
    const rows = this.#by[query.by].all(after, last ?? LAST_KEY, query.nowMs, queues);
    const counts = rows.map((row): ShapeCount => {
      return [(row.domain as string | null) ?? undefined, Number(row.age_column), Number(row.n)];
    });
    return { counts, next: last };
  }
}
