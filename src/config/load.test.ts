/** Tests of config/load.ts and config/file-references.ts, over a disk that is a Map. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkSnapshot, formatProblem } from "./check.ts";
import { loadSnapshot, scopeOf } from "./load.ts";

const DIRECTORY = "/etc/p";

function load(files: Readonly<Record<string, string>>) {
  const disk = new Map(Object.entries(files));
  return loadSnapshot({
    configDirectory: DIRECTORY,
    generation: 7,
    hostname: "mx.example.org",
    mailVersion: "1.0",
    readFile: async (path) => {
      const text = disk.get(path);
      if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
      return new TextEncoder().encode(text);
    },
    modifiedMs: async () => 1234,
  });
}

const MASTER = "smtp inet n - n - - smtpd\n";
const files = (main: string, more: Readonly<Record<string, string>> = {}) =>
  load({ [`${DIRECTORY}/main.cf`]: main, [`${DIRECTORY}/master.cf`]: MASTER, ...more });
const formatted = (problems: Parameters<typeof formatProblem>[0][]) => problems.map(formatProblem);

test("loadSnapshot() makes one snapshot that can be cloned", async () => {
  const { snapshot, problems } = await files("mydestination = example.org\n");
  assert.deepEqual(problems, []);
  assert.ok(snapshot);
  assert.equal(snapshot.generation, 7);
  assert.deepEqual(snapshot.mainCf, [
    { name: "mydestination", value: "example.org", at: { file: "main.cf", line: 1 } },
  ]);
  assert.equal(snapshot.services[0]?.name, "smtp");
  assert.equal(snapshot.builtins.get("mydomain"), "example.org");
  assert.deepEqual(structuredClone(snapshot), snapshot);
});

test("loadSnapshot() takes myorigin from the first line of a file, as on Debian", async () => {
  const level = "compatibility_level = 3.6\nalias_maps =\nlocal_recipient_maps =\n";
  const main = `${level}myorigin = /etc/mailname\nmydestination = $myorigin, b.test\n`;
  const { snapshot } = await files(main, { "/etc/mailname": " mail.deb.test \nmore\n" });
  assert.ok(snapshot);
  assert.equal(scopeOf(snapshot).get("myorigin"), "mail.deb.test");
  assert.equal(scopeOf(snapshot, snapshot.services[0]).text("myorigin"), "mail.deb.test");
  assert.equal(scopeOf(snapshot).unexpanded("myorigin"), "/etc/mailname", "what postconf prints");
  assert.deepEqual(scopeOf(snapshot).get("mydestination"), ["/etc/mailname", "b.test"], "there it is a list in a file");
  assert.deepEqual(formatted(checkSnapshot(snapshot)), []);
  const missing = (await files(`${level}myorigin = /etc/mailname\n`)).snapshot;
  assert.deepEqual(missing && formatted(checkSnapshot(missing)), [
    "main.cf:4: error: open /etc/mailname: No such file or directory; named by myorigin",
  ]);
  const empty = (await files(`${level}myorigin = /etc/mailname\n`, { "/etc/mailname": "\nx\n" })).snapshot;
  assert.deepEqual(empty && formatted(checkSnapshot(empty)), [
    "main.cf:4: error: myorigin file /etc/mailname is empty",
  ]);
});

test("loadSnapshot() names what it cannot open, both files at once", async () => {
  const { snapshot, problems } = await load({});
  assert.equal(snapshot, undefined);
  assert.deepEqual(formatted([...problems]), [
    "main.cf:1: error: open /etc/p/main.cf: No such file or directory; name its directory: postern -c DIR",
    "master.cf:1: error: open /etc/p/master.cf: No such file or directory",
  ]);
});

test("loadSnapshot() gives no snapshot of a file with a syntax error, but all problems", async () => {
  const { snapshot, problems } = await files("mydestination\nmyorigni = x\n");
  assert.equal(snapshot, undefined);
  const texts = formatted([...problems]);
  assert.ok(texts.includes(`main.cf:1: error: missing '=' after attribute name: "mydestination"`), texts.join("\n"));
  assert.ok(
    texts.includes("main.cf:2: warning: unused parameter: myorigni=x; did you mean myorigin?"),
    texts.join("\n"),
  );
});

const referenced = [
  { cf: "x_maps = hash:tables/a", path: "/etc/p/tables/a", why: "relative to the configuration" },
  { cf: "x_maps = hash:$config_directory/a", path: "/etc/p/a", why: "expanded" },
  { cf: "x = check_sender_access lmdb:/t/a, reject", path: "/t/a", why: "in a restriction list" },
  { cf: "x = proxy:btree:/t/a", path: "/t/a", why: "behind proxy:" },
  { cf: "x = texthash:/t/a", path: "/t/a", why: "texthash" },
  { cf: "x = {check_client_access {cidr:/t/a}}", path: "/t/a", why: "in braces" },
  { cf: "x = pcre:/t/a", path: "/t/a", why: "pcre" },
  { cf: "mynetworks = 127.0.0.1 !/t/a", path: "/t/a", why: "a file in a pattern list" },
  { cf: "local_recipient_maps = proxy:unix:passwd.byname", path: "/etc/passwd", why: "the system's users" },
  { cf: "smtpd_tls_cert_file = tls/a.pem", path: "/etc/p/tls/a.pem", why: "a certificate" },
  { cf: "smtpd_tls_chain_files = /t//k.pem, /t/b.pem", path: "/t//k.pem", why: "chains, as written" },
  { cf: "x_maps = hash:/t//../u/a", path: "/u/a", why: "tables by their normal path" },
  { cf: "postern_user_file = /t/users", path: "/t/users", why: "the user file" },
];
for (const c of referenced) {
  test(`loadSnapshot() reads ${c.why}: ${c.cf}`, async () => {
    const { snapshot } = await files(`${c.cf}\n`, { [c.path]: "content" });
    const image = snapshot?.files.get(c.path);
    assert.ok(image && "bytes" in image, [...(snapshot?.files.keys() ?? [])].join());
    assert.equal(Buffer.from(image.bytes).toString(), "content");
    assert.equal(image.mtimeMs, 1234);
  });
}

test("loadSnapshot() reads what only a service's -o names", async () => {
  const { snapshot } = await load({
    "/etc/p/main.cf": "dir = /m\nlist = hash:$dir/a\n",
    "/etc/p/master.cf": "s inet n - n - - smtpd -o dir=/o\n",
    "/m/a": "1",
    "/o/a": "2",
  });
  assert.ok(snapshot?.files.has("/m/a") && snapshot.files.has("/o/a"));
});

test("loadSnapshot() takes none and auto for no files", async () => {
  const { snapshot } = await files("smtpd_tls_cert_file = none\nsmtpd_tls_dh1024_param_file = auto\n");
  const paths = [...(snapshot?.files.keys() ?? [])];
  assert.deepEqual(
    paths.filter((path) => /none|auto/.test(path)),
    [],
  );
});

test("loadSnapshot() leaves caches and inline tables alone", async () => {
  const { snapshot } = await files(
    "address_verify_map = btree:/v/cache\nx_maps = inline:{a=b} pcre:{{/a/ b}} static:x\n",
  );
  const paths = [...(snapshot?.files.keys() ?? [])];
  assert.deepEqual(
    paths.filter((path) => /cache|\{|static/.test(path)),
    [],
  );
});

test("loadSnapshot() follows files in pattern files, circles included", async () => {
  const { snapshot } = await files("mynetworks = /n/a\n", {
    "/n/a": "# /n/not\n10.0.0.0/8\n!/n/b\nhash:c\n",
    "/n/b": "/n/a\n",
    "/etc/p/c": "",
  });
  const paths = [...(snapshot?.files.keys() ?? [])];
  assert.deepEqual(paths.filter((path) => /^\/n|\/c$/.test(path)).sort(), ["/etc/p/c", "/n/a", "/n/b"]);
});

test("loadSnapshot() keeps why a file cannot be read, and check names the line", async () => {
  const { snapshot } = await files("compatibility_level = 3.6\nx_maps = hash:/t/none\ny = $x_maps\n");
  assert.ok(snapshot);
  assert.deepEqual(snapshot.files.get("/t/none"), { path: "/t/none", error: "No such file or directory" });
  const errors = checkSnapshot(snapshot).filter(({ severity }) => severity === "error");
  assert.deepEqual(formatted(errors), [
    'main.cf:2: error: open /t/none: No such file or directory; named by x_maps; its text or the index of "postern postmap" is read, never .db or .lmdb',
  ]);
});

test("loadSnapshot() takes a 2005 recipe as it is: warnings only", async () => {
  const read = (name: string) => readFileSync(new URL(`testdata/recipe-2005/${name}`, import.meta.url), "utf8");
  const { snapshot, problems } = await load({
    "/etc/p/main.cf": read("main.cf"),
    "/etc/p/master.cf": read("master.cf"),
  });
  assert.ok(snapshot);
  const all = [...problems, ...checkSnapshot(snapshot)];
  assert.deepEqual(formatted(all.filter(({ severity }) => severity === "error")), []);
  const texts = formatted(all);
  const wanted = [
    "master.cf:4: warning: smtp_sasl_security_options is a parameter of the SMTP client and does nothing to this smtpd service; did you mean smtpd_sasl_security_options?",
    "main.cf:5: warning: smtp_sasl_security_options is a parameter of the SMTP client, where SASL is off, and does nothing to the server; did you mean smtpd_sasl_security_options?",
    "main.cf:1: warning: compatibility_level is not set: the defaults are those of Postfix 2.x (level 0); set compatibility_level = 3.6 once the newer defaults are wanted",
  ];
  for (const text of wanted) assert.ok(texts.includes(text), `${text}\nnot in\n${texts.join("\n")}`);
});
