/** What `check` says about who may send as whom. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem } from "../config/check.ts";
import { checkConfiguration } from "./check.ts";

const MAIN = "compatibility_level = 3.10\nmyhostname = mail.example.org\nalias_maps =\n";

async function check(mainCf: string): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = {
    "/c/main.cf": MAIN + mainCf,
    "/c/master.cf": "smtp inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n",
  };
  const problems = await checkConfiguration({
    configDirectory: "/c",
    hostname: "mail.example.org",
    mailVersion: "0",
    readFile: async (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      return Buffer.from(text);
    },
  });
  return problems.map(formatProblem).filter((line) => /login|postmaster/.test(line) && !/user_?file/.test(line));
}

const MAPS = "smtpd_sender_login_maps = inline:{a@example.org=a}\n";
const CASES: readonly { main: string; want: readonly RegExp[]; why: string }[] = [
  { main: "", want: [], why: "nothing is asked" },
  { main: `postern_header_from_login_mismatch = reject\n${MAPS}`, want: [], why: "a table that knows somebody" },
  {
    main: "postern_header_from_login_mismatch = reject\n",
    want: [/^main\.cf:4: error: postern_header_from_login_mismatch = reject, but .* mail of every login is deferred;/],
    why: "no table: everybody would wait",
  },
  {
    main: "postern_header_from_login_mismatch = warn\n",
    want: [/^main\.cf:4: error: .*: nothing is looked at;/],
    why: "no table, and only warnings",
  },
  {
    main: `postern_header_from_login_mismatch = rewrite\nsmtpd_proxy_filter = 127.0.0.1:1\n${MAPS}`,
    want: [/^main\.cf:4: warning: .* = rewrite has no effect where smtpd_proxy_filter takes the mail;/],
    why: "content that goes past",
  },
  {
    main: "postern_header_from_login_mismatch = reject\nsmtpd_sender_login_maps = texthash:/none\n",
    want: [/^main\.cf:5: error: .*\/none/],
    why: "a table that is not there",
  },
];

for (const { main, want, why } of CASES) {
  test(`check of sender identity (SUB-24): ${why}`, async () => {
    const lines = await check(main);
    assert.equal(lines.length, want.length, lines.join("\n"));
    for (const [i, pattern] of want.entries()) assert.match(lines[i] ?? "", pattern);
  });
}
