/** What `check` says about FUTURERELEASE, DELIVERBY and MT-PRIORITY. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checked } from "./testdata/checked.ts";

async function check(mainCf: string): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = {
    "/c/main.cf": `compatibility_level = 3.10\nmyhostname = mail.example.org\nalias_maps =\n${mainCf}`,
    "/c/master.cf": "smtp inet n - n - - smtpd\n",
    "/c/priorities": "alice 4\n",
    "/c/clients": "10.0.0.1/8\n",
  };
  return (await checked(files)).filter((line) => /postern_(?!user)|priorities|clients|none/.test(line));
}

const CASES: readonly { main: string; want: readonly RegExp[]; why: string }[] = [
  { main: "content_filter = smtp:[127.0.0.1]:10025\n", want: [], why: "nothing is set, nothing is missed" },
  {
    main: "postern_deliver_by_enable = yes\ncontent_filter = smtp:[127.0.0.1]:10025\npostern_future_release_max = 1d\n",
    want: [/^main\.cf:4: warning: postern_deliver_by_enable has no effect where content_filter takes the mail$/],
    why: "a time that would be lost behind a filter",
  },
  {
    main: "postern_deliver_by_enable = no\nsmtpd_proxy_filter = 127.0.0.1:1\npostern_future_release_max = 1d\n",
    want: [/^main\.cf:6: warning: postern_future_release_max has no effect where smtpd_proxy_filter takes the mail$/],
    why: "a filter that takes the mail",
  },
  { main: "postern_priority_login_maps = texthash:/c/priorities\n", want: [], why: "a table" },
  {
    main: "postern_priority_login_maps = texthash:/c/none\n",
    want: [/^main\.cf:4: error: .*\/c\/none/],
    why: "a table that is not there",
  },
  {
    main: "postern_submission_extension_clients = /c/clients\n",
    want: [/^main\.cf:4: error: postern_submission_extension_clients: .*10\.0\.0\.1\/8/],
    why: "a file of clients with a mistake in it",
  },
];

for (const { main, want, why } of CASES) {
  test(`check of submission extensions: ${why}`, async () => {
    const lines = await check(main);
    assert.equal(lines.length, want.length, lines.join("\n"));
    for (const [i, pattern] of want.entries()) assert.match(lines[i] ?? "", pattern);
  });
}
