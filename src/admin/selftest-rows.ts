/** admin/selftest-rows.ts: all rows of the self-test, in the order in which they are played. */
import { AUTH_ROWS } from "./selftest-auth-rows.ts";
import { CONTENT_ROWS } from "./selftest-content-rows.ts";
import type { SelftestRow } from "./selftest-row.ts";
import { SESSION_ROWS } from "./selftest-session-rows.ts";

export const SELFTEST_ROWS: readonly SelftestRow[] = [...SESSION_ROWS, ...AUTH_ROWS, ...CONTENT_ROWS];
