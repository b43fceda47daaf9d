/** ldap: tables with a real OpenLDAP server: answers, groups, hostile keys, logins, TLS, a server that ends, hangs and comes back;
 *  Postfix's own client, asked with the same file, must say the same. Then Postern itself over SMTP. */
import assert from "node:assert/strict";
import { execFile as execFileBack } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Log } from "../../src/log/log.ts";
import { TEST_CERT, TEST_KEY } from "../../src/smtp/testdata/certificate.ts";
import { createTableOpener } from "../../src/tables/open.ts";
import { type LookupTable, TableError } from "../../src/tables/table.ts";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { LDAP_ROOT, LDAP_SUFFIX, TestSlapd } from "../testbed/slapd.ts";

const execFile = promisify(execFileBack);

const PASSWORD = "it's $ecret*()";
/** As they may stand in an address; each is somebody's mail attribute. */
const HOSTILE = ["o'brien@x.test", "a*@x.test", "(a)@x.test", "back\\slash@x.test", "100%@x.test", "a&b|c!d@x.test"];

interface Entry {
  readonly dn: string;
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
}

const PERSON = { objectClass: "inetOrgPerson", sn: "x" };

const ENTRIES: readonly Entry[] = [
  { dn: `ou=people,${LDAP_SUFFIX}`, attributes: { objectClass: "organizationalUnit" } },
  { dn: `ou=secret,${LDAP_SUFFIX}`, attributes: { objectClass: "organizationalUnit" } },
  ...["one", "two", "three"].map((uid) => ({
    dn: `cn=${uid},ou=people,${LDAP_SUFFIX}`,
    attributes: { ...PERSON, mail: `${uid}@example.org`, uid, description: [`${uid} first`, `${uid} second`] },
  })),
  ...HOSTILE.map((mail, i) => ({
    dn: `cn=hostile ${i},ou=people,${LDAP_SUFFIX}`,
    attributes: { ...PERSON, mail, uid: `hostile${i}` },
  })),
  { dn: `cn=hidden,ou=secret,${LDAP_SUFFIX}`, attributes: { ...PERSON, mail: "hidden@example.org", uid: "hidden" } },
  {
    dn: `cn=group,${LDAP_SUFFIX}`,
    attributes: {
      objectClass: "groupOfNames",
      description: "group@example.org",
      member: [`cn=one,ou=people,${LDAP_SUFFIX}`, `cn=inner,${LDAP_SUFFIX}`, `cn=nobody,${LDAP_SUFFIX}`],
    },
  },
  {
    dn: `cn=inner,${LDAP_SUFFIX}`,
    attributes: {
      objectClass: "groupOfNames",
      description: "inner@example.org",
      member: [`cn=two,ou=people,${LDAP_SUFFIX}`, `cn=three,ou=people,${LDAP_SUFFIX}`],
    },
  },
  {
    dn: `cn=loop,${LDAP_SUFFIX}`,
    attributes: { objectClass: "groupOfNames", description: "loop@example.org", member: `cn=loop,${LDAP_SUFFIX}` },
  },
  {
    dn: `cn=login,${LDAP_SUFFIX}`,
    attributes: { objectClass: ["organizationalRole", "simpleSecurityObject"], userPassword: PASSWORD },
  },
];

/** LDIF (RFC 2849), all values in base64. */
function ldifOf(entries: readonly Entry[]): string {
  return entries
    .map(({ dn, attributes }) => {
      const lines = Object.entries(attributes).flatMap(([name, values]) =>
        [values].flat().map((value) => `${name}:: ${Buffer.from(value).toString("base64")}`),
      );
      return [`dn:: ${Buffer.from(dn).toString("base64")}`, ...lines].join("\n");
    })
    .join("\n\n");
}

const SAME_AS_POSTFIX: { cf: string; key: string; want: string | undefined; why: string }[] = [
  { cf: "", key: "one@example.org", want: "one", why: "found" },
  { cf: "", key: "ONE@Example.Org", want: "one", why: "keys in any case" },
  { cf: "", key: "none@example.org", want: undefined, why: "not found" },
  { cf: "result_attribute = description", key: "two@example.org", want: "two first,two second", why: "several values" },
  { cf: "result_format = smtp:[%s]", key: "one@example.org", want: "smtp:[one]", why: "result_format" },
  { cf: "query_filter = (uid=%u)", key: "three@example.org", want: "three", why: "local part" },
  {
    cf: "query_filter = (&(mail=%u@%d)(objectClass=inetOrgPerson))",
    key: "one@example.org",
    want: "one",
    why: "parts",
  },
  { cf: "domain = other.test", key: "one@example.org", want: undefined, why: "a domain that is not asked for" },
  { cf: "scope = one", key: "one@example.org", want: undefined, why: "one level" },
  {
    cf: `search_base = ou=people,${LDAP_SUFFIX}\nscope = one`,
    key: "one@example.org",
    want: "one",
    why: "another base",
  },
  {
    cf: "query_filter = (description=%s)\nspecial_result_attribute = member\nresult_attribute = mail",
    key: "group@example.org",
    want: "one@example.org,two@example.org,three@example.org",
    why: "groups in groups, a member that is not there",
  },
  {
    cf: "query_filter = (description=%s)\nspecial_result_attribute = member\nleaf_result_attribute = mail\nresult_attribute = cn",
    key: "inner@example.org",
    want: "two@example.org,two,three@example.org,three,inner",
    why: "leaf_result_attribute",
  },
  {
    cf: "query_filter = (description=%s)\nspecial_result_attribute = member\nterminal_result_attribute = cn\nresult_attribute = mail",
    key: "inner@example.org",
    want: "inner",
    why: "terminal_result_attribute",
  },
  ...HOSTILE.map((key, i) => ({ cf: "", key, want: `hostile${i}`, why: "hostile key finds itself" })),
  ...["*", "*@example.org", "one@example.org)(uid=*", "one@example.org)(|(uid=*", "\\2a", "x)(objectClass=*"].map(
    (key) => ({
      cf: "",
      key,
      want: undefined,
      why: "hostile key finds nobody",
    }),
  ),
];

describe("a real OpenLDAP", { concurrency: false, timeout: 120_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "ldap-interop-"));
  const opened: LookupTable[] = [];
  const warnings: string[] = [];
  let server: TestSlapd;

  before(async () => {
    writeFileSync(
      join(directory, "main.cf"),
      "compatibility_level = 3.6\nmyhostname = mail.example.org\ninet_interfaces = 127.0.0.1\n",
    );
    const tls = { cert: TEST_CERT, key: TEST_KEY };
    server = new TestSlapd({ port: await freePort(), rootPassword: "root pass", ldif: ldifOf(ENTRIES), tls });
    await server.start();
  });
  afterEach(async () => {
    for (const table of opened.splice(0)) await table.close?.();
  });
  after(async () => {
    await server?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Text of a .cf file: what is given, and the usual settings for the rest. */
  const settings = (given: string): string => {
    const usual = {
      server_host: `ldap://127.0.0.1:${server.port}`,
      version: "3",
      search_base: LDAP_SUFFIX,
      query_filter: "(mail=%s)",
      result_attribute: "uid",
      timeout: "3",
      bind: "no",
    };
    const rest = Object.entries(usual).filter(([name]) => !new RegExp(`^${name}\\b`, "m").test(given));
    return [given, ...rest.map(([name, value]) => `${name} = ${value}`)].filter(Boolean).join("\n");
  };
  const open = (given: string): LookupTable => {
    const log = new Log({ sink: ({ text }) => void warnings.push(text), now: Date.now, tag: "t", id: 0 });
    const files = new Map([
      ["/t.cf", `${settings(given)}\n`],
      ["/ca.pem", TEST_CERT],
    ]);
    const read = (path: string) => Buffer.from(files.get(path) ?? "");
    const table = createTableOpener({ files: { read }, log, configDirectory: "/" }).open("ldap:/t.cf");
    opened.push(table);
    return table;
  };
  const ask = async (given: string, key = "one@example.org") => open(given).get(key);

  test("Postfix's client says the same", async () => {
    // Side by side: each takes more than a second to end.
    const said = SAME_AS_POSTFIX.map(async ({ cf, key, want }, i) => {
      const path = join(directory, `${i}.cf`);
      writeFileSync(path, `${settings(cf)}\n`);
      const env = { MAIL_CONFIG: directory, LC_ALL: "C.UTF-8" };
      const postmap = execFile("/usr/sbin/postmap", ["-q", key, `ldap:${path}`], { env });
      const end = await postmap.catch((error: { code: number; stdout: string; stderr: string }) => error);
      assert.doesNotMatch(end.stderr, /fatal|error/, key);
      assert.equal(end.stdout.trimEnd(), want ?? "", key);
    });
    await Promise.all(said);
  });

  for (const c of SAME_AS_POSTFIX) {
    test(`${c.why}: ${c.key}`, async () => assert.equal(await ask(c.cf, c.key), c.want));
  }

  for (const key of ["a\0b@x.test", "one@example.org\0", "a\r\nb@x.test", "\ud800@x.test"]) {
    test(`a key with ${JSON.stringify(key)} finds nobody`, async () => {
      const answer = await Promise.resolve(ask("", key)).catch((error: unknown) => error);
      assert.ok(answer === undefined || answer instanceof TableError);
    });
  }

  test("groups that hold themselves end at recursion_limit", async () => {
    const group = "query_filter = (description=%s)\nspecial_result_attribute = member\nresult_attribute = mail\n";
    await assert.rejects(
      async () => ask(`${group}recursion_limit = 3`, "loop@example.org"),
      /Recursion limit exceeded/,
    );
  });

  test("a login reads what others may not; a wrong one is an error without the password", async () => {
    assert.equal(await ask("", "hidden@example.org"), undefined);
    const login = `bind = yes\nbind_dn = cn=login,${LDAP_SUFFIX}\n`;
    assert.equal(await ask(`${login}bind_pw = ${PASSWORD}`, "hidden@example.org"), "hidden");
    assert.equal(await ask(`bind = yes\nbind_dn = ${LDAP_ROOT}\nbind_pw = root pass`, "hidden@example.org"), "hidden");
    await assert.rejects(
      async () => ask(`${login}bind_pw = geheim`),
      (error) => error instanceof TableError && /error 49/.test(error.message) && !/geheim/.test(error.message),
    );
    assert.ok(!warnings.join("\n").includes("geheim"));
  });

  test("socket, second server, StartTLS", async () => {
    assert.equal(await ask(`server_host = ${server.socketUrl}`), "one");
    const dead = await freePort();
    assert.equal(await ask(`server_host = ldap://127.0.0.1:${dead} ldap://127.0.0.1:${server.port}`), "one");
    assert.equal(await ask("start_tls = yes"), "one", "without verification");
    const verified = "start_tls = yes\ntls_require_cert = yes\n";
    await assert.rejects(async () => ask(verified), TableError, "nobody vouches for it");
    await assert.rejects(async () => ask(`${verified}tls_ca_cert_file = /ca.pem`), TableError, "another name");
    const named = `server_host = ldap://localhost:${server.port}\n${verified}tls_ca_cert_file = /ca.pem`;
    assert.equal(await ask(named), "one");
  });

  test("few connections for many lookups", async () => {
    const table = open("");
    const answers = await Promise.all(Array.from({ length: 200 }, () => table.get("one@example.org")));
    assert.ok(answers.every((answer) => answer === "one"));
  });

  test("a wrong search base is an error, a filter that nobody matches is not", async () => {
    await assert.rejects(async () => ask("search_base = dc=else,dc=where"), /No such object/);
    assert.equal(await ask(`search_base = ou=%d,${LDAP_SUFFIX}`), undefined);
  });

  test("a server that ends, hangs and comes back: an error in bounded time, then answers", async () => {
    const table = open("timeout = 2");
    assert.equal(await table.get("one@example.org"), "one");
    server.signal("SIGSTOP");
    const began = Date.now();
    await assert.rejects(async () => table.get("two@example.org"), TableError);
    assert.ok(Date.now() - began < 15_000);
    server.signal("SIGCONT");
    await eventually(async () => assert.equal(await table.get("two@example.org"), "two"));
    await server.stop("SIGKILL");
    await assert.rejects(async () => table.get("two@example.org"), TableError);
    await server.start();
    await eventually(async () => assert.equal(await table.get("two@example.org"), "two"));
  });

  test("over SMTP: relay_recipient_maps accepts, refuses, and defers without the directory", async () => {
    const port = await freePort();
    const cf = join(directory, "recipients.cf");
    writeFileSync(cf, `${settings("")}\n`);
    await using postern = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination =
relay_domains = example.org
relay_recipient_maps = ldap:${cf}
mynetworks =
smtpd_relay_restrictions = reject_unauth_destination`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await postern.start();
    const rcpt = async (address: string): Promise<string> => {
      const client = await Conversation.open(port);
      await client.say("EHLO client.example");
      await client.say("MAIL FROM:<>");
      const reply = await client.say(`RCPT TO:<${address}>`);
      client.close();
      return reply;
    };
    assert.match(await rcpt("one@example.org"), /^250 /);
    assert.match(await rcpt("*@example.org"), /^550 5\.1\.1 /);
    await server.stop("SIGKILL");
    assert.match(await rcpt("one@example.org"), /^451 4\.3\.0 /);
    await server.start();
    await eventually(async () => assert.match(await rcpt("one@example.org"), /^250 /));
  });
});
