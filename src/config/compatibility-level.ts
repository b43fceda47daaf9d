/** config/compatibility-level.ts: `major[.minor[.patch]]` and its order (COMPATIBILITY_README). */
import { ParameterError } from "./declare.ts";

/** Three numbers; what is not written is 0. Throws ParameterError. */
export function parseLevel(text: string): readonly [number, number, number] {
  const match = /^(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?$/.exec(text.trim());
  if (!match) throw new ParameterError(`bad compatibility level: "${text.slice(0, 100)}"`);
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

/** Negative, 0 or positive as `a` is before, at or after `b`. Throws ParameterError. */
export function compareLevels(a: string, b: string): number {
  const [x, y] = [parseLevel(a), parseLevel(b)];
  return x[0] - y[0] || x[1] - y[1] || x[2] - y[2];
}
