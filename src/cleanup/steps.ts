/** cleanup/steps.ts: work that is done at once unless it has to wait for something. A generator yields each promise that it
 *  waits for and gets its value, or its rejection thrown, so one code serves tables that answer now and those that answer later. */

export type Steps<T> = Generator<Promise<unknown>, T, unknown>;

/** The result; a promise only if the steps had to wait. Throws or rejects what the steps throw. */
export function take<T>(steps: Steps<T>): T | Promise<T> {
  const proceed = (step: IteratorResult<Promise<unknown>, T>): T | Promise<T> =>
    step.done === true
      ? step.value
      : step.value.then(
          (value) => proceed(steps.next(value)),
          (error: unknown) => proceed(steps.throw(error)),
        );
  return proceed(steps.next());
}
