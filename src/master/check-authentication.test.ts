/** Tests of master/check.ts: what it says of parameters that verify and seal mail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKey } from "../dkim/key.ts";
import { checked } from "./testdata/checked.ts";

const HEAD = `compatibility_level = 3.10
myhostname = mail.example.org
smtpd_relay_restrictions = reject_unauth_destination
`;
const FILES: Readonly<Record<string, string>> = {
  "/c/master.cf": "smtp inet n - n - - smtpd\n",
  "/c/keys": "example.org s s.pem retired\n.example.net s s.pem\n",
  "/c/s.pem": generateKey("rsa-sha256"),
};

async function check(mainCf: string): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = { ...FILES, "/c/main.cf": `${HEAD}${mainCf}` };
  return (await checked(files)).filter((text) => /arc_seal|authentication|dmarc|spf/.test(text));
}

const SEALS = "postern_arc_seal = yes\npostern_dkim_signing_file = /c/keys\n";
const NOTHING = "main.cf:4: warning: postern_arc_seal: nothing is sealed: ";

const ROWS = [
  { main: "postern_authentication_results = yes\n", want: [], why: "nothing else is needed" },
  {
    main: "postern_authentication_results = yes\nsmtpd_proxy_filter = 127.0.0.1:9\n",
    want: [
      /^main\.cf:4: warning: postern_authentication_results: mail that smtpd_proxy_filter takes gets no results; /,
    ],
    why: "a filter that takes the mail",
  },
  {
    main: "postern_authentication_results = yes\nforce_mime_input_conversion = yes\n",
    want: [
      /^main\.cf:4: warning: postern_authentication_results: force_mime_input_conversion breaks signatures of 8-bit mail/,
    ],
    why: "what changes mail before it is verified",
  },
  {
    main: "postern_authentication_results = yes\nforce_mime_input_conversion = yes\npostern_service_role = submission\n",
    want: [],
    why: "the same where nothing is verified",
  },
  {
    main: "postern_authentication_trusted_clients = 999.1.1.1/3\n",
    want: [/^main\.cf:4: error: postern_authentication_trusted_clients: /],
    why: "a list that cannot be read",
  },
  {
    main: "postern_arc_seal = yes\n",
    want: [`${NOTHING}postern_dkim_signing_file is empty; postern dkim generate example.org`],
    why: "no signing file",
  },
  {
    main: SEALS,
    want: [`${NOTHING}/c/keys has no key that signs for example.org; postern dkim generate example.org`],
    why: "a key that is retired",
  },
  { main: `${SEALS}postern_arc_seal_domain = in.Example.NET\n`, want: [], why: "a key of the domain above" },
  {
    main: "smtpd_recipient_restrictions = reject_dmarc_fail\n",
    want: [/^main\.cf:4: error: smtpd_recipient_restrictions: restriction reject_dmarc_fail works only/],
    why: "a word where it cannot work",
  },
];

for (const { main, want, why } of ROWS) {
  test(`checkConfiguration(): ${why}`, async () => {
    const said = await check(main);
    assert.equal(said.length, want.length, said.join("\n"));
    for (const [i, one] of want.entries()) {
      if (typeof one === "string") assert.equal(said[i], one);
      else assert.match(said[i] ?? "", one);
    }
  });
}
