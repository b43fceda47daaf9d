/** What `check` says about the local agent's settings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checked } from "./testdata/checked.ts";

const MAIN = "compatibility_level = 3.10\nmyhostname = mail.example.org\n";

async function check(mainCf: string, aliases: string): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = {
    "/c/main.cf": MAIN + mainCf,
    "/c/master.cf": "smtp inet n - n - - smtpd\n",
    "/a": aliases,
  };
  return (await checked(files)).filter(
    (line) => line.includes("mailbox") || line.includes("/a: ") || line.includes("names that"),
  );
}

const CASES: readonly { main: string; aliases?: string; want: readonly RegExp[]; why: string }[] = [
  { main: "alias_maps = hash:/a\n", aliases: "root: a@b.test\nnull: /dev/null\n", want: [], why: "aliases that work" },
  {
    main: "alias_maps = hash:/a\n",
    aliases: 'one: "|/bin/x"\ntwo: a, /file\nthree: a@b.test\n',
    want: [
      /^main\.cf:3: warning: hash:\/a: these aliases lead to commands or files, mail to them is returned: one, two; route it to a pipe service, or run commands with allow_mail_to_commands = alias$/,
    ],
    why: "commands and files",
  },
  {
    main: "alias_maps = hash:/a\nallow_mail_to_commands = alias\n",
    aliases: 'one: "|/bin/x -y"\ntwo: a, "|/bin/x"\nthree: "|cat > /tmp/x"\n',
    want: [/mail to them is returned: two, three;/],
    why: "commands that are allowed, one that is not alone, and one that needs a shell",
  },
  {
    main: "alias_maps = pcre:/a\n",
    aliases: "/^list-(.*)$/ :include:/lists/$1\n",
    want: [
      /^main\.cf:3: warning: pcre:\/a: ":include:\/lists\/\$1": no substitution is allowed in alias_maps: mail to aliases waits/,
    ],
    why: "a pattern that builds file names",
  },
  {
    main: "alias_maps =\nmailbox_command = /usr/bin/procmail\n",
    want: [/^main\.cf:4: warning: mailbox_command runs nothing here: mail to local users waits; /],
    why: "mailbox_command",
  },
  {
    main: "alias_maps =\nhome_mailbox = Mailbox\n",
    want: [/^main\.cf:4: warning: home_mailbox names a mailbox file: .*; let the name end in \/$/],
    why: "a mailbox file",
  },
  {
    main: "alias_maps =\nhome_mailbox =\n",
    want: [/warning: mail_spool_directory names a mailbox file: /],
    why: "the spool, if home_mailbox is empty",
  },
  { main: "alias_maps =\nhome_mailbox =\nmail_spool_directory = /var/mail/\n", want: [], why: "a spool of maildirs" },
  {
    main: "alias_maps =\nmessage_size_limit = 0\n",
    want: [/^main\.cf:4: warning: mailbox_size_limit is smaller than message_size_limit/],
    why: "messages larger than mailboxes may hold",
  },
  {
    main: "alias_maps =\nluser_relay = a@b.test\n",
    want: [/^main\.cf:4: warning: luser_relay gets no mail for names that local_recipient_maps does not list/],
    why: "luser_relay behind local_recipient_maps",
  },
  {
    main: "alias_maps =\nvirtual_mailbox_domains = v.test\n",
    want: [/^main\.cf:4: warning: virtual_uid_maps is empty: .*mailboxes waits/, /virtual_gid_maps is empty/],
    why: "virtual mailboxes of nobody",
  },
  {
    main: "alias_maps =\nmail_owner = nobody\nvirtual_mailbox_domains = v.test\nvirtual_uid_maps = static:1\nvirtual_gid_maps = static:1\n",
    want: [/^main\.cf:6: warning: virtual writes as mail_owner \(uid \d+\): mail to mailboxes of uid 1 waits/],
    why: "virtual mailboxes of somebody else",
  },
  {
    main: "alias_maps =\nvirtual_mailbox_domains = v.test\nvirtual_transport = lmtp:unix:x\n",
    want: [],
    why: "virtual domains that another transport delivers",
  },
  { main: "alias_maps =\nluser_relay = a@b.test\nlocal_recipient_maps =\n", want: [], why: "every name is taken" },
];
for (const c of CASES) {
  test(`check of local: ${c.why}`, async () => {
    const found = await check(c.main, c.aliases ?? "");
    assert.equal(found.length, c.want.length, found.join("\n"));
    for (const [i, want] of c.want.entries()) assert.match(found[i] ?? "", want);
  });
}
