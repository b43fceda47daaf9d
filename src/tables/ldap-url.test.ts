import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLdapServer, parseSearchUrl } from "./ldap-url.ts";

const SERVERS: { in: string; want: string; why: string }[] = [
  { in: "ldap.example.org", want: "ldap://ldap.example.org:3890 tcp ldap.example.org 3890", why: "server_port" },
  { in: "ldap.example.org:1389", want: "ldap://ldap.example.org:1389 tcp ldap.example.org 1389", why: "host:port" },
  { in: "ldap://a", want: "ldap://a:389 tcp a 389", why: "a URL has its own default port" },
  { in: "LDAPS://a:1636/", want: "ldaps://a:1636 tls tcp a 1636", why: "ldaps, in any case" },
  { in: "ldaps://a", want: "ldaps://a:636 tls tcp a 636", why: "default port of ldaps" },
  { in: "ldap://[::1]:1389", want: "ldap://[::1]:1389 tcp ::1 1389", why: "IPv6" },
  { in: "ldap://", want: "ldap://localhost:389 tcp localhost 389", why: "no host is this one" },
  {
    in: "ldapi://%2Frun%2Fslapd%2Fldapi/",
    want: "ldapi://%2Frun%2Fslapd%2Fldapi/ unix /run/slapd/ldapi",
    why: "socket",
  },
  { in: "ldapi://", want: "none", why: "no socket named" },
  { in: "ldap://a:0", want: "none", why: "port 0" },
  { in: "ldap://a:99999", want: "none", why: "port out of range" },
  { in: "http://a", want: "none", why: "another scheme" },
  { in: "::1", want: "none", why: "IPv6 needs brackets" },
  { in: "", want: "none", why: "nothing" },
];
for (const c of SERVERS) {
  test(`parseLdapServer() ${c.why}: ${c.in}`, () => {
    const server = parseLdapServer(c.in, 3890);
    const target = server?.target;
    const where = target?.kind === "tcp" ? `tcp ${target.host} ${target.port}` : `unix ${target?.path}`;
    assert.equal(server ? `${server.name}${server.tls ? " tls" : ""} ${where}` : "none", c.want);
  });
}

const URLS: { in: string; want: unknown; why: string }[] = [
  {
    in: "ldap:///dc=x??sub?(cn=a)",
    want: { base: "dc=x", attributes: [], scope: "sub", filter: "(cn=a)" },
    why: "all entries below",
  },
  {
    in: "ldap://other/cn=a%20b,dc=x?mail,cn",
    want: { base: "cn=a b,dc=x", attributes: ["mail", "cn"], scope: "base", filter: "(objectClass=*)" },
    why: "defaults",
  },
  { in: "ldap://h", want: { base: "", attributes: [], scope: "base", filter: "(objectClass=*)" }, why: "no name" },
  { in: "ldap:///dc=x??many", want: undefined, why: "unknown scope" },
  { in: "ldap:///dc=%zz", want: undefined, why: "bad percent code" },
  { in: "ldap:///dc=x????!x-a", want: undefined, why: "critical extension" },
  { in: "ldap:///dc=x?????", want: undefined, why: "too many parts" },
];
for (const c of URLS) test(`parseSearchUrl() ${c.why}: ${c.in}`, () => assert.deepEqual(parseSearchUrl(c.in), c.want));
