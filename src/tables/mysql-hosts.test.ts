/** tables/mysql-hosts.test.ts: hosts, TLS and option files of mysql tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { textRows } from "./mysql-connection.ts";
import { type MysqlTarget, mysqlTargets } from "./mysql-hosts.ts";
import { parseMysqlOptions } from "./mysql-options.ts";
import { parseQueryFile } from "./query-file.ts";
import { TableError } from "./table.ts";

const MY_CNF = `# comment
[client]
host = db.test
port=3307
user = "cnf user"
password = 'it''s'   # not the password
ssl-ca = /ca.pem
[mysqld]
user = mysql
[mail]
user=mail\\sman
`;

function targets(settings: string): readonly MysqlTarget[] {
  const files = new Map([
    ["/my.cnf", MY_CNF],
    ["/ca.pem", "ca"],
    ["/cert.pem", "cert"],
    ["/key.pem", "key"],
  ]);
  const read = (path: string) => {
    const text = files.get(path);
    if (text === undefined) throw new TableError(`open ${path}: No such file or directory`);
    return Buffer.from(text);
  };
  return mysqlTargets(parseQueryFile(Buffer.from(settings), "/my.cf"), { read });
}

const PLACES = [
  { in: "127.0.0.1", want: { host: "127.0.0.1", port: 3306 }, why: "address" },
  { in: "inet:db.test:3307", want: { host: "db.test", port: 3307 }, why: "inet: and port" },
  { in: "[::1]:3307", want: { host: "::1", port: 3307 }, why: "IPv6 address" },
  { in: "unix:/run/my.sock", want: { socketPath: "/run/my.sock" }, why: "socket" },
  { in: "localhost", want: { socketPath: "/run/mysqld/mysqld.sock" }, why: "localhost is the default socket" },
  { in: "inet:LOCALHOST", want: { socketPath: "/run/mysqld/mysqld.sock" }, why: "inet:localhost too" },
  { in: "", want: { socketPath: "/run/mysqld/mysqld.sock" }, why: "no hosts" },
];

for (const c of PLACES) {
  test(`mysqlTargets() ${c.why}: hosts = ${c.in}`, () => {
    assert.deepEqual(targets(`dbname=d\nhosts = ${c.in}\n`)[0]?.at, c.want);
  });
}

test("mysqlTargets() takes several hosts, and utf8mb4 without TLS", () => {
  const [first, second] = targets("dbname=d\nuser=u\npassword=p$x\nhosts = a, unix:/b\n");
  assert.equal(first?.name, "a");
  assert.equal(second?.name, "unix:/b");
  assert.deepEqual(
    [first?.user, first?.password, first?.dbname, first?.charset, first?.tls],
    ["u", "p$x", "d", "utf8mb4", undefined],
  );
});

test("mysqlTargets() reads the option file for what the table leaves open", () => {
  const [target] = targets("dbname=d\npassword=own\noption_file=/my.cnf\n");
  assert.deepEqual(target?.at, { host: "db.test", port: 3307 });
  assert.equal(target?.user, "cnf user");
  assert.equal(target?.password, "own");
  assert.deepEqual(target?.tls?.ca, Buffer.from("ca"));
  assert.equal(targets("dbname=d\noption_file=/my.cnf\noption_group=mail\n")[0]?.user, "mail man");
});

const TLS = [
  { in: "tls_CAfile=/ca.pem", chain: true, name: false, why: "authorities are given" },
  { in: "tls_verify_cert=yes", chain: true, name: true, why: "verification is asked for" },
  { in: "tls_ciphers=HIGH", chain: false, name: false, why: "encryption only" },
  { in: "tls_cert_file=/cert.pem\ntls_key_file=/key.pem", chain: false, name: false, why: "client certificate" },
];

for (const c of TLS) {
  test(`mysqlTargets() TLS: ${c.why}`, () => {
    const tls = targets(`dbname=d\n${c.in}\n`)[0]?.tls;
    assert.equal(tls?.rejectUnauthorized, c.chain);
    assert.equal(tls?.verifyIdentity, c.name);
  });
}

const BAD = [
  { in: "hosts=a\n", why: "no database", text: /dbname/ },
  { in: "dbname=d\nhosts=unix:b\n", why: "relative socket", text: /^\/my\.cf, line 2: / },
  { in: "dbname=d\nhosts=a:b\n", why: "bad port", text: /^\/my\.cf, line 2: bad port/ },
  {
    in: "dbname=d\nhosts=b 10.0.0.1\ntls_verify_cert=yes\n",
    why: "an address to verify",
    text: /line 2: .*host names/,
  },
  { in: "dbname=d\ntls_CApath=/etc/ssl\n", why: "directory of certificates", text: /line 2: .*tls_CAfile/ },
  { in: "dbname=d\ntls_CAfile=/none\n", why: "certificate that is not there", text: /open \/none/ },
  { in: "dbname=d\noption_file=my.cnf\n", why: "relative option file", text: /line 2: .*absolute/ },
];

for (const c of BAD) {
  test(`mysqlTargets() refuses ${c.why}`, () => {
    assert.throws(
      () => targets(c.in),
      (error) => error instanceof TableError && c.text.test(error.message),
    );
  });
}

for (const text of ["!includedir /etc/mysql", "user=x"]) {
  test(`parseMysqlOptions() refuses ${text}`, () => {
    assert.throws(
      () => parseMysqlOptions(Buffer.from(`\n${text}\n`), "/my.cnf", "client"),
      /^TableError: \/my\.cnf, line 2/,
    );
  });
}

const RESULTS = [
  { rows: [["a", null, 7, Buffer.from("ä")]], fields: [{}, {}, {}, {}], want: [["a", null, "7", "ä"]], why: "types" },
  { rows: [], fields: [{}], want: [], why: "no row" },
  { rows: { affectedRows: 0 }, fields: undefined, want: undefined, why: "no result set" },
  { rows: [[["a"]], { affectedRows: 0 }], fields: [[{}], undefined], want: [["a"]], why: "procedure" },
  { rows: [[], {}], fields: [[{}], undefined], want: [], why: "procedure without a row" },
];

for (const c of RESULTS) {
  test(`textRows() ${c.why}`, () => assert.deepEqual(textRows(c.rows, c.fields), c.want));
}

test("textRows() refuses two result sets", () => {
  assert.throws(() => textRows([[["a"]], [["b"]], {}], [[{}], [{}], undefined]), /multiple result sets/);
});
