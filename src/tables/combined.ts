/** tables/combined.ts: tables made of others (DATABASE_README): `unionmap:{a, b}` joins all answers with ",", `pipemap:{a, b}`
 *  asks b for the answer of a, `randmap:{x, y}` answers any of its words to every key. */
import { bracedItems } from "./inline.ts";
import type { OpenerContext } from "./opener.ts";
import { type Answer, type LookupTable, TableError } from "./table.ts";

/** Answers of several tables in order; a table that cannot answer makes the whole unable to. */
export function openUnion(ref: string, name: string, context: OpenerContext): LookupTable {
  return combined(ref, members(ref, name, context), async (tables, key) => {
    const found: string[] = [];
    for (const table of tables) {
      const answer = await table.get(key);
      if (answer !== undefined) found.push(answer);
    }
    return found.length > 0 ? found.join(",") : undefined;
  });
}

/** The last answer of the chain; not found as soon as one table finds nothing. */
export function openPipe(ref: string, name: string, context: OpenerContext): LookupTable {
  return combined(ref, members(ref, name, context), async (tables, key) => {
    let answer: Answer = key;
    for (const table of tables) {
      if (answer === undefined) break;
      answer = await table.get(answer);
    }
    return answer;
  });
}

/** `random` gives numbers in [0, 1). */
export function openRandom(ref: string, name: string, random: () => number = Math.random): LookupTable {
  const values = words(ref, name, "value");
  // Any key has an answer, so asking for the whole key is enough.
  return { ref, partialKeys: false, get: () => values[Math.floor(random() * values.length)] };
}

/** As in Postfix: one member that cannot be opened, and the table cannot. Asked each time: an edit may have mended it. */
function combined(
  ref: string,
  tables: readonly LookupTable[],
  get: (tables: readonly LookupTable[], key: string) => Promise<Answer>,
): LookupTable {
  const problemOf = () => {
    const broken = tables.find((table) => table.problem !== undefined);
    return broken && `${broken.ref}: ${broken.problem}`;
  };
  return {
    ref,
    get partialKeys() {
      return tables.every((table) => table.partialKeys);
    },
    get problem() {
      return problemOf();
    },
    async get(key) {
      const problem = problemOf();
      if (problem !== undefined) throw new TableError(problem);
      return get(tables, key);
    },
  };
}

function members(ref: string, name: string, { tables }: OpenerContext): readonly LookupTable[] {
  return words(ref, name, "type:name").map((word) => tables.open(word));
}

function words(ref: string, name: string, what: string): readonly string[] {
  const type = ref.slice(0, ref.indexOf(":"));
  const items = name.startsWith("{") && name.endsWith("}") ? bracedItems(name, type, `${what}...`) : [];
  if (items.length === 0) throw new TableError(`bad syntax: "${ref}"; need "${type}:{${what}...}"`);
  return items;
}
