/** What EHLO announces, to whom: by role of the service, before and after TLS and login, and with each keyword taken away.
 *  The lists are exact: whoever adds a keyword decides here who sees it. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Client } from "./dialogues/client.ts";
import { type Service, startService } from "./dialogues/edges.ts";

const STATES = ["clear", "TLS", "login"] as const;
type State = (typeof STATES)[number];

/** Keywords that any server may have (IANA registry of SMTP service extensions); others begin with X (RFC 5321 §2.2.2). */
const REGISTERED = new Set(
  `8BITMIME AUTH BINARYMIME BURL CHUNKING DELIVERBY DSN ENHANCEDSTATUSCODES ETRN FUTURERELEASE HELP LIMITS MT-PRIORITY PIPELINING
   REQUIRETLS SIZE SMTPUTF8 STARTTLS VRFY`.split(/\s+/),
);

const EVERYBODY = ["PIPELINING", "SIZE 10240000", "VRFY"];
const CONTENT = ["ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME"];
const LIMITS = "LIMITS RCPTMAX=1000";
/** What submission alone has, for clients it knows, and DELIVERBY behind TLS too. */
const SUBMISSION = ["FUTURERELEASE 86400 DATE", "DELIVERBY", "MT-PRIORITY"];
const MOMENT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;
const AUTH = "AUTH PLAIN LOGIN";
const SITE = { smtpd_tls_auth_only: "yes", postern_future_release_max: "1d" };
const MX = { ...SITE, mx: "yes", etrn: "yes", nosasl: "yes" };

interface Row {
  readonly why: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly see: Readonly<Partial<Record<State, readonly string[]>>>;
}

const ROWS: readonly Row[] = [
  {
    why: "EHLO-01: submission has no ETRN, AUTH comes with TLS, REQ-01: as REQUIRETLS does",
    settings: SITE,
    see: {
      clear: [...EVERYBODY, "STARTTLS", ...CONTENT, LIMITS],
      TLS: [...EVERYBODY, AUTH, ...CONTENT, "REQUIRETLS", LIMITS, "DELIVERBY"],
      login: [...EVERYBODY, AUTH, ...CONTENT, "REQUIRETLS", LIMITS, ...SUBMISSION],
    },
  },
  {
    why: "EHLO-04: mx has ETRN, no AUTH, no FUTURERELEASE, DELIVERBY or MT-PRIORITY; REQUIRETLS if so configured",
    settings: MX,
    see: {
      clear: [...EVERYBODY, "ETRN", "STARTTLS", ...CONTENT, LIMITS],
      TLS: [...EVERYBODY, "ETRN", ...CONTENT, LIMITS],
    },
  },
  {
    why: "EHLO-04: nor to a client that logs in there",
    settings: { ...MX, nosasl: "" },
    see: { login: [...EVERYBODY, "ETRN", AUTH, ...CONTENT, LIMITS] },
  },
  {
    why: "REQ-01: postern_requiretls_enable = yes, also for other servers",
    settings: { ...MX, postern_requiretls_enable: "yes" },
    see: {
      clear: [...EVERYBODY, "ETRN", "STARTTLS", ...CONTENT, LIMITS],
      TLS: [...EVERYBODY, "ETRN", ...CONTENT, "REQUIRETLS", LIMITS],
    },
  },
  {
    why: "REQUIRETLS is not for mail that a content filter takes",
    settings: { ...SITE, content_filter: "smtp:[127.0.0.1]:10025", postern_deliver_by_enable: "no" },
    see: { TLS: [...EVERYBODY, AUTH, ...CONTENT, LIMITS] },
  },
  {
    why: "a client that may say who others are",
    settings: { xclient: "yes", xforward: "yes" },
    see: {
      TLS: [
        ...EVERYBODY,
        AUTH,
        "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT",
        "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",
        ...CONTENT,
        "REQUIRETLS",
        LIMITS,
        "DELIVERBY",
      ],
    },
  },
];

async function ehlo(client: Client): Promise<readonly string[]> {
  client.send("EHLO client.example\r\n");
  const lines: string[] = [];
  do lines.push(await client.line());
  while (lines.at(-1)?.startsWith("250-"));
  assert.equal(lines[0], "250-mail.example.org");
  return lines.slice(1).map((line) => line.slice(4).replace(MOMENT, "DATE"));
}

async function seen(service: Service, state: State): Promise<readonly string[]> {
  const client = await Client.connect(service.port);
  try {
    await client.line();
    if (state === "clear") return await ehlo(client);
    client.send("STARTTLS\r\n");
    await client.line();
    await client.startTls();
    if (state === "TLS") return await ehlo(client);
    client.send("EHLO client.example\r\n");
    while ((await client.line()).startsWith("250-"));
    client.send("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
    assert.match(await client.line(), /^235 /);
    return await ehlo(client);
  } finally {
    client.close();
  }
}

const services: Service[] = [];
after(() => Promise.all(services.map((service) => service.close())));

async function serve(settings: Readonly<Record<string, string>>): Promise<Service> {
  const service = await startService(settings);
  services.push(service);
  return service;
}

for (const { why, settings, see } of ROWS) {
  test(`EHLO: ${why}`, async () => {
    const service = await serve(settings);
    for (const state of STATES) {
      if (see[state]) assert.deepEqual(await seen(service, state), see[state], state);
    }
  });
}

test("EHLO-02: every keyword is registered, or begins with X", () => {
  const keywords = ROWS.flatMap(({ see }) => Object.values(see).flat()).map((line) => line.split(" ")[0] ?? "");
  assert.deepEqual(
    keywords.filter((keyword) => !REGISTERED.has(keyword) && !keyword.startsWith("X")),
    [],
  );
});

test("EHLO: smtpd_discard_ehlo_keywords takes away each keyword, and only that", async () => {
  for (const { settings, see } of ROWS) {
    for (const state of STATES) {
      const all = see[state];
      if (all === undefined) continue;
      for (const line of all) {
        const [keyword = ""] = line.split(" ");
        if (state === "login" && keyword === "AUTH") continue;
        const service = await serve({
          ...settings,
          smtpd_discard_ehlo_keywords: `${keyword.toLowerCase()}, silent-discard`,
        });
        assert.deepEqual(
          await seen(service, state),
          all.filter((other) => other !== line && !goesWith(keyword, other)),
          keyword,
        );
      }
    }
  }
});

/** What cannot be offered without another. */
function goesWith(keyword: string, line: string): boolean {
  return keyword === "CHUNKING" && line === "BINARYMIME";
}
