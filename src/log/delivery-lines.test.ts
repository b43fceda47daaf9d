import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDelay } from "./delivery-lines.ts";

const CASES = [
  { ms: 0, digits: 2, want: "0", why: "nothing" },
  { ms: 4, digits: 2, want: "0", why: "below the resolution" },
  { ms: 6, digits: 2, want: "0.01", why: "rounded to the resolution" },
  { ms: 123, digits: 2, want: "0.12", why: "two significant digits" },
  { ms: 100, digits: 2, want: "0.1", why: "no trailing zeros" },
  { ms: 1234, digits: 2, want: "1.2", why: "two significant digits above a second" },
  { ms: 9990, digits: 2, want: "10", why: "rounding carries" },
  { ms: 12_345, digits: 2, want: "12", why: "whole seconds from ten on" },
  { ms: 123_456, digits: 2, want: "123", why: "large numbers stay whole" },
  { ms: 1.23, digits: 6, want: "0.0012", why: "finer resolution" },
  { ms: 1234, digits: 0, want: "1", why: "no digits at all" },
];
for (const c of CASES) test(`formatDelay() ${c.why}: ${c.ms}`, () => assert.equal(formatDelay(c.ms, c.digits), c.want));
