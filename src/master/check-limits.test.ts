/** What `check` says about the limits of transports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checked } from "./testdata/checked.ts";

async function check(mainCf: string): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = {
    "/c/main.cf": `compatibility_level = 3.10\n${mainCf}`,
    "/c/master.cf": "smtp inet n - n - - smtpd\nslow unix - - n - - smtp\n",
  };
  return (await checked(files)).filter((line) => /_destination_|_rate_delay|_retry_time/.test(line));
}

const CASES: readonly { main: string; want: readonly string[]; why: string }[] = [
  { main: "slow_destination_concurrency_limit = 2\nsmtp_transport_rate_delay = 1s\n", want: [], why: "good ones" },
  {
    main: "slow_destination_concurrency_limit = banana\n",
    want: ["main.cf:2: error: bad numerical configuration: slow_destination_concurrency_limit = banana"],
    why: "of a transport of master.cf",
  },
  {
    main: "smtp_transport_rate_delay = 7q\n",
    want: ["main.cf:2: error: bad time configuration: smtp_transport_rate_delay = 7q"],
    why: "of a transport that is there without a line",
  },
  {
    main: "default_destination_concurrency_positive_feedback = 1/x\n",
    want: [
      "main.cf:2: error: default_destination_concurrency_positive_feedback: bad concurrency feedback: 1/x; specify a number from 0 to 1",
    ],
    why: "of all, said once",
  },
  {
    main: "default_destination_rate_delay = 7q\n",
    want: ["main.cf:2: error: bad time configuration: default_destination_rate_delay = 7q"],
    why: "a default that its declaration refuses, said once",
  },
];

for (const { main, want, why } of CASES) {
  test(`check of limits: ${why}`, async () => assert.deepEqual(await check(main), want));
}
