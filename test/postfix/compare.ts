/** test/postfix/compare.ts: sets what two servers said side by side. Pure. */
import type { Allowed } from "./differences.ts";
import type { Said } from "./player.ts";
import { withoutIds } from "./session-log.ts";

/** What one server did in one dialogue. */
export interface Held {
  readonly said: readonly Said[];
  readonly log: readonly string[];
}

export interface Found {
  readonly kind: "reply" | "log";
  /** The step of the client, or "log". */
  readonly step: string;
  readonly postfix: string;
  readonly postern: string;
  /** The listed difference it is. */
  readonly allowed: Allowed | undefined;
}

export function compare(
  postfix: Held,
  postern: Held,
  options: { readonly allowed: readonly Allowed[]; readonly where: string },
): readonly Found[] {
  const pairs = [...replyPairs(postfix.said, postern.said), ...logPairs(postfix.log, postern.log)];
  const found = pairs
    .map((pair) => ({ ...pair, postfix: withoutIds(pair.postfix), postern: withoutIds(pair.postern) }))
    .filter((pair) => pair.postfix !== pair.postern)
    .map((pair) => ({ ...pair, allowed: options.allowed.find((entry) => covers(entry, pair, options.where)) }));
  const causes = found.flatMap(({ kind, allowed }) => (kind === "reply" && allowed?.logFollows ? [allowed] : []));
  return found.map((one) =>
    one.kind === "log" ? { ...one, allowed: one.allowed ?? causes.find((cause) => follows(cause, one)) } : one,
  );
}

/** Both sides are lines that the reply brings with it, or nothing. */
function follows({ logFollows }: Allowed, { postfix, postern }: Pair): boolean {
  return [postfix, postern].every(
    (line) => line === "(nothing)" || line.startsWith("disconnect from ") || logFollows?.test(line),
  );
}

type Pair = Omit<Found, "allowed">;

function covers(entry: Allowed, pair: Pair, where: string): boolean {
  if (entry.kind !== pair.kind || !(entry.where ?? /./).test(where)) return false;
  return entry.covers(pair.postfix, pair.postern);
}

/** The steps are the same; only what was left unread at the end may be on one side alone. */
function replyPairs(postfix: readonly Said[], postern: readonly Said[]): readonly Pair[] {
  const longer = postfix.length > postern.length ? postfix : postern;
  return longer.map(({ step }, i) => ({
    kind: "reply",
    step,
    postfix: postfix[i]?.reply ?? "(nothing)",
    postern: postern[i]?.reply ?? "(nothing)",
  }));
}

/** Lines that both have, in order, are equal; between two such, the rest is paired one by one. */
function logPairs(postfix: readonly string[], postern: readonly string[]): readonly Pair[] {
  const pairs: Pair[] = [];
  const add = (left: readonly string[], right: readonly string[]) => {
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
      pairs.push({ kind: "log", step: "log", postfix: left[i] ?? "(nothing)", postern: right[i] ?? "(nothing)" });
    }
  };
  let [i, j] = [0, 0];
  for (const [atLeft, atRight] of commonLines(postfix.map(withoutIds), postern.map(withoutIds))) {
    add(postfix.slice(i, atLeft), postern.slice(j, atRight));
    [i, j] = [atLeft + 1, atRight + 1];
  }
  add(postfix.slice(i), postern.slice(j));
  return pairs;
}

/** Index pairs of a longest common subsequence. */
function commonLines(left: readonly string[], right: readonly string[]): readonly (readonly [number, number])[] {
  const lengths = Array.from({ length: left.length + 1 }, () => new Array<number>(right.length + 1).fill(0));
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  for (let i = left.length - 1; i >= 0; i--) {
    const row = lengths[i] ?? [];
    for (let j = right.length - 1; j >= 0; j--) {
      row[j] = left[i] === right[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const common: [number, number][] = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) common.push([i++, j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return common;
}
