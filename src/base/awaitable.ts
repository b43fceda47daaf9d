/** base/awaitable.ts: results that are usually known at once: an empty list, a table in memory. An async function costs three
 *  promises and turns of the microtask queue even if it waits for nothing; on the way of one message there were 290 of
 *  them. Where that counts, functions return an Awaitable and go on with whenKnown(). */

/** A value, or the promise of one. Functions that return it may throw what they may reject with. */
export type Awaitable<T> = T | Promise<T>;

/** `next(value)`: now if the value is there, else when it comes. */
export function whenKnown<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
