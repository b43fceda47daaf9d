/** admin/selftest-rows.ts: all rows of the self-test, in the order in which they are played. */
import { AUTH_ROWS } from "./selftest-auth-rows.ts";
import { CONTENT_ROWS } from "./selftest-content-rows.ts";
import { EXTENSION_ROWS } from "./selftest-extension-rows.ts";
import { PARAMETER_ROWS } from "./selftest-parameter-rows.ts";
import type { SelftestRow } from "./selftest-row.ts";
import { SESSION_ROWS } from "./selftest-session-rows.ts";
import { TRANSACTION_ROWS } from "./selftest-transaction-rows.ts";

export const SELFTEST_ROWS: readonly SelftestRow[] = [
  ...SESSION_ROWS,
  ...TRANSACTION_ROWS,
  ...AUTH_ROWS,
  ...CONTENT_ROWS,
  ...PARAMETER_ROWS,
  ...EXTENSION_ROWS,
];
