/** cleanup/testdata/turns.ts: how often other work of the event loop has its turn while something is done; for tests. */

export async function turnsDuring(run: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const other = () => {
    turns++;
    if (!over) setImmediate(other);
  };
  setImmediate(other);
  await run();
  over = true;
  return turns;
}
