/** What `check` says about who may send as whom, and about mailboxes that others rely on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checked } from "./testdata/checked.ts";

const MAIN = "compatibility_level = 3.10\nmyhostname = mail.example.org\nalias_maps =\n";

async function check(mainCf: string): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = {
    "/c/main.cf": MAIN + mainCf,
    "/c/master.cf": "smtp inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n",
  };
  return (await checked(files)).filter(
    (line) => /login|postmaster|abuse|duplicate/.test(line) && !/user_?file|overriding/.test(line),
  );
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
    main: "postern_duplicate_guard = suppress\nsmtpd_proxy_filter = 127.0.0.1:1\n",
    want: [/^main\.cf:4: warning: postern_duplicate_guard has no effect where smtpd_proxy_filter takes the mail;/],
    why: "nor does the duplicate guard see that",
  },
  {
    main: "postern_header_from_login_mismatch = reject\nsmtpd_sender_login_maps = texthash:/none\n",
    want: [/^main\.cf:5: error: .*\/none/],
    why: "a table that is not there",
  },
];

const POSTMASTERS: typeof CASES = [
  {
    main: "virtual_alias_domains = a.test, b.test\nvirtual_alias_maps = inline:{ {postmaster@a.test = x@y.test}, {abuse@a.test = x@y.test}, {abuse@b.test = x@y.test} }\n",
    want: [/^main\.cf:4: warning: mail to postmaster@b\.test is refused: every domain must have a postmaster;/],
    why: "one of two domains has none",
  },
  {
    main: "virtual_alias_maps = inline:{ {c.test = any}, {abuse@c.test = x@y.test} }\n",
    want: [/warning: mail to postmaster@c\.test is refused/],
    why: "a domain that stands in the table",
  },
  {
    main: "virtual_alias_domains = a.test\nvirtual_alias_maps = inline:{ {@a.test = x@y.test} }\n",
    want: [],
    why: "a catch-all",
  },
  {
    main: "virtual_mailbox_domains = m.test\nvirtual_mailbox_maps = inline:{ {abuse@m.test = x/} }\n",
    want: [/^main\.cf:4: warning: mail to postmaster@m\.test is refused/],
    why: "virtual mailboxes",
  },
  {
    main: "relay_domains = r.test\nrelay_recipient_maps = inline:{ {abuse@r.test = x} }\n",
    want: [/^main\.cf:4: warning: mail to postmaster@r\.test is refused/],
    why: "recipients of a relay domain",
  },
  { main: "relay_domains = r.test\n", want: [], why: "a relay domain whose recipients are not known" },
  {
    main: "virtual_alias_domains = a.test\nvirtual_alias_maps = tcp:127.0.0.1:1\n",
    want: [],
    why: "a table that cannot be read whole is not asked",
  },
  {
    main: "alias_maps = inline:{ {abuse = x@y.test} }\n",
    want: [/^main\.cf:4: warning: alias_maps has no postmaster/],
    why: "aliases without it",
  },
  {
    main: "alias_maps = inline:{ {postmaster = x@y.test} }\n",
    want: [/^main\.cf:4: warning: alias_maps has no abuse: .*\(RFC 2142\); add an alias for abuse$/],
    why: "aliases without the abuse desk",
  },
  { main: "alias_maps = inline:{ {postmaster = x@y.test}, {abuse = postmaster} }\n", want: [], why: "both" },
  {
    main: "alias_maps = inline:{ {root = x@y.test} }\nlocal_transport = lmtp:unix:private/lmtp\n",
    want: [],
    why: "local mail that another program delivers",
  },
  {
    main: "virtual_alias_domains = a.test, b.test\nvirtual_alias_maps = inline:{ {postmaster@a.test = x@y.test}, {postmaster@b.test = x@y.test} }\n",
    want: [
      /^main\.cf:4: warning: mail to abuse@a\.test, abuse@b\.test is refused: complaints .*; add an alias for abuse$/,
    ],
    why: "two domains without the abuse desk",
  },
];

for (const { main, want, why } of [...CASES, ...POSTMASTERS]) {
  const id = main.includes("postern_") || main === "" ? "of sender identity (SUB-24)" : "of role mailboxes (NAM-01)";
  test(`check ${id}: ${why}`, async () => {
    const lines = await check(main);
    assert.equal(lines.length, want.length, lines.join("\n"));
    for (const [i, pattern] of want.entries()) assert.match(lines[i] ?? "", pattern);
  });
}
