/** master/check-tables.test.ts: what `check` says of tables that are there and wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checked } from "./testdata/checked.ts";

const MASTER = "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n";
const MAIN = `compatibility_level = 3.10
myhostname = mail.example.org
alias_maps =
`;

async function check(mainCf: string, files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const all: Readonly<Record<string, string>> = {
    "/c/main.cf": `${MAIN}${mainCf}mail_owner = nobody\n`,
    "/c/master.cf": MASTER,
    ...files,
  };
  return (await checked(all)).filter((line) => !/services|passwd/.test(line));
}

for (const c of [
  {
    why: "a line that is skipped",
    main: "smtpd_sender_restrictions = check_sender_access texthash:/t\n",
    files: { "/t": "a@b.test REJECT\nlonely\n" },
    want: ["/t:2: warning: expected format: key whitespace value -- ignoring this line"],
  },
  {
    why: "the server of a database client, which is no file",
    main: "virtual_alias_maps = ldap:x\nx_server_host = ldap://127.0.0.1:9 ldaps:///\nx_search_base = dc=test\n",
    files: {},
    want: [],
  },
  {
    why: "databases that Postfix's programs write",
    main: "smtp_sasl_auth_cache_name = proxy:btree:/none\npostscreen_cache_map = btree:/none\n",
    files: {},
    want: [
      "main.cf:4: warning: parameter smtp_sasl_auth_cache_name is known",
      "main.cf:5: warning: parameter postscreen_cache_map is known",
    ],
  },
  {
    why: "files of parameters that nothing looks at",
    main: "postscreen_access_list = cidr:/none\nproxy_read_maps = hash:/none /words\n",
    files: {},
    want: [
      "main.cf:4: warning: parameter postscreen_access_list is known",
      "main.cf:5: warning: parameter proxy_read_maps is known",
    ],
  },
  {
    why: "a pattern that cannot be read",
    main: "smtpd_sender_restrictions = check_sender_access pcre:/t\n",
    files: { "/t": "/ok/ REJECT\nno pattern\n" },
    want: ["/t:2: warning: "],
  },
  {
    why: "rules of header_checks that are no actions",
    main: "header_checks = pcre:/t\n",
    files: { "/t": "/a/ REJECT $1\n/b/ REJET b\n/c(.)/ FILTER $1\n/d/ FILTER d\n/e/\n" },
    want: [
      "/t:1: warning: out of range replacement index",
      "/t:5: warning: no replacement text",
      "main.cf:4: warning: unknown command in header_checks map: REJET b",
      "main.cf:4: warning: bad FILTER command d in header_checks -- need transport:destination",
      "main.cf:4: warning: empty action in header_checks map",
    ],
  },
  {
    why: "rules of the client that only hold while mail comes in",
    main: "smtp_header_checks = pcre:/t\nlmtp_body_checks = pcre:/none\n",
    files: { "/t": "/a/ HOLD\n/b/ PREPEND b: c\n" },
    want: [
      "main.cf:4: warning: unsupported command in smtp_header_checks map: HOLD",
      "main.cf:5: error: open /none: No such file or directory; named by lmtp_body_checks",
    ],
  },
  {
    why: "a table that cannot be opened, named by a list",
    main: "smtpd_sender_restrictions =\n  check_sender_access inline:{a@b.test=REJECT no}\n",
    files: {},
    want: ["main.cf:4: error: inline:{a@b.test=REJECT no}: syntax error: "],
  },
  {
    why: "a table that cannot be opened, named through a parameter",
    main: "mine = inline:{a=b c}\nrelay_recipient_maps = $mine\n",
    files: {},
    want: ["main.cf:5: error: inline:{a=b c}: syntax error: "],
  },
  {
    why: "a missing file is told once",
    main: "smtpd_sender_restrictions = check_sender_access texthash:/none\n",
    files: {},
    want: ["main.cf:4: error: open /none: No such file or directory; named by smtpd_sender_restrictions"],
  },
]) {
  test(`check: ${c.why}`, async () => {
    const found = await check(c.main, c.files);
    assert.equal(found.length, c.want.length, found.join("\n"));
    for (const [i, want] of c.want.entries()) assert.ok(found[i]?.startsWith(want), `${found[i]}\nwant: ${want}`);
  });
}

test("check: a table that only a default names is no error", async () => {
  const byDefault = await checked({
    "/c/main.cf": "compatibility_level = 3.10\nmail_owner = nobody\n",
    "/c/master.cf": MASTER,
  });
  assert.deepEqual(
    byDefault.filter((line) => line.includes(" error: ")),
    [],
  );
});
