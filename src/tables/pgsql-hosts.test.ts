/** tables/pgsql-hosts.test.ts: the words of `hosts`, and that no text about them shows a password. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePgsqlHost } from "./pgsql-hosts.ts";
import { TableError } from "./table.ts";

const LOGIN = { user: "u", password: "p", dbname: "d" };

const CASES = [
  { in: "localhost", want: { host: "localhost", port: 5432, user: "u", dbname: "d" }, why: "name" },
  { in: "inet:db.test:6000", want: { host: "db.test", port: 6000 }, why: "inet: and port" },
  { in: "db.test:postgresql", want: { host: "db.test", port: 5432 }, why: "name of the port" },
  { in: "inet:[::1]:6000", want: { host: "::1", port: 6000 }, why: "IPv6 address with port" },
  { in: "::1", want: { host: "::1", port: 5432 }, why: "IPv6 address" },
  { in: "unix:/run/pg", want: { host: "/run/pg", port: 5432 }, why: "directory of the socket" },
  { in: "unix:/run/pg:6000", want: { host: "/run/pg", port: 6000 }, why: "socket of another port" },
  { in: "unix:", want: { host: "/var/run/postgresql" }, why: "default directory" },
  {
    in: "postgresql://me:se%20cret@db.test:6000/mail",
    want: { host: "db.test", port: 6000, user: "me", password: "se cret", dbname: "mail", sslMode: "prefer" },
    why: "all of a URI",
  },
  { in: "postgres://db.test", want: { user: undefined, password: "", dbname: undefined }, why: "URI ignores settings" },
  { in: "postgres://[::1]:6000/", want: { host: "::1", port: 6000 }, why: "IPv6 in a URI" },
  { in: "postgres://%2Frun%2Fpg/mail", want: { host: "/run/pg", dbname: "mail" }, why: "socket in a URI" },
  { in: "postgres:///mail?host=/run/pg&port=6000", want: { host: "/run/pg", port: 6000 }, why: "parameters" },
  { in: "postgres://h/d?user=a&password=b&dbname=c", want: { user: "a", password: "b", dbname: "c" }, why: "login" },
  { in: "postgres://h/d?sslmode=verify-full", want: { sslMode: "verify-full" }, why: "sslmode" },
  { in: "postgres://h/d?ssl=true", want: { sslMode: "require" }, why: "old name of sslmode" },
  {
    in: "postgres://h/d?sslmode=require&sslrootcert=/ca.pem",
    want: { sslMode: "verify-ca", sslFiles: { ca: "/ca.pem" } },
    why: "a root certificate is there to be used",
  },
  { in: "postgres://h/d?connect_timeout=5&target_session_attrs=any", want: { host: "h" }, why: "nothing to do" },
];

for (const c of CASES) {
  test(`parsePgsqlHost() ${c.why}: ${c.in}`, () => {
    const target = parsePgsqlHost(c.in, LOGIN);
    for (const [name, value] of Object.entries(c.want)) {
      assert.deepEqual(target[name as keyof typeof target], value, name);
    }
  });
}

const BAD = [
  { in: "db.test:0", why: "port" },
  { in: "db.test:65536", why: "port" },
  { in: "db.test:smtp", why: "name of a port" },
  { in: "postgres://u:geheim@h:x/d", why: "port in a URI" },
  { in: "postgres://u:geheim@h/d?sslmode=maybe", why: "sslmode" },
  { in: "postgres://u:geheim@h/d?service=x", why: "parameter" },
  { in: "postgres://u:geheim@h/d?target_session_attrs=read-write", why: "parameter that would matter" },
  { in: "postgres://u:geheim@h/%zz", why: "percent encoding" },
  { in: "postgres://h/d?password=geheim&sslmode=maybe", why: "password as a parameter" },
];

for (const c of BAD) {
  test(`parsePgsqlHost() refuses a bad ${c.why}: ${c.in}`, () => {
    assert.throws(
      () => parsePgsqlHost(c.in, LOGIN),
      (error) => error instanceof TableError && !error.message.includes("geheim"),
    );
  });
}

test("parsePgsqlHost() names a host without its password", () => {
  assert.equal(parsePgsqlHost("postgres://u:a:b%40c@h/d", LOGIN).name, "postgres://u@h/d");
  assert.equal(parsePgsqlHost("postgres://h/d?password=x&user=u", LOGIN).name, "postgres://h/d?password=…&user=u");
});
