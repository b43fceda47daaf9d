/** access/lookup-keys.test.ts: the orders of access(5), EMAIL ADDRESS PATTERNS and HOST NAME/ADDRESS PATTERNS. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import { LookupKeys } from "./lookup-keys.ts";

const plain = new LookupKeys({ partialKeys: true, plainParents: true, delimiter: "+" });
const dotted = new LookupKeys({ partialKeys: true, plainParents: false, delimiter: "+" });
const whole = new LookupKeys({ partialKeys: false, plainParents: true, delimiter: "+" });

const ORDERS = [
  {
    got: plain.ofMail(asAddress("user+foo@mail.example.com")),
    want: [
      "user+foo@mail.example.com",
      "user@mail.example.com",
      "mail.example.com",
      "example.com",
      "com",
      "user+foo@",
      "user@",
    ],
    why: "address, domain and its parents, user",
  },
  {
    got: dotted.ofMail(asAddress("user@mail.example.com")),
    want: ["user@mail.example.com", "mail.example.com", ".example.com", ".com", "user@"],
    why: "parents with a dot unless smtpd_access_maps is a parent list",
  },
  {
    got: plain.ofMail(asAddress("user@[192.0.2.1]")),
    want: ["user@[192.0.2.1]", "[192.0.2.1]", "user@"],
    why: "literal",
  },
  {
    got: whole.ofMail(asAddress("User@Example.COM")),
    want: ["user@example.com"],
    why: "small letters for regexp, too",
  },
  { got: whole.ofMail(asAddress("user+foo@example.com")), want: ["user+foo@example.com"], why: "regexp, cidr, tcp" },
  { got: plain.ofHost("mail.example.com"), want: ["mail.example.com", "example.com", "com"], why: "host name" },
  {
    got: dotted.ofHost("mail.example.com"),
    want: ["mail.example.com", ".example.com", ".com"],
    why: "host name, dotted",
  },
  { got: plain.ofAddress("192.0.2.1"), want: ["192.0.2.1", "192.0.2", "192.0", "192"], why: "IPv4 by octets" },
  {
    got: plain.ofAddress("2001:db8:1::5"),
    want: ["2001:db8:1::5", "2001:db8:1", "2001:db8", "2001"],
    why: "IPv6 by octet pairs",
  },
  { got: plain.ofAddress("::1"), want: ["::1"], why: "nothing before ::" },
  { got: whole.ofAddress("192.0.2.1"), want: ["192.0.2.1"], why: "no networks in a cidr table's keys" },
  {
    got: plain.ofClient("a.b", "10.1.2.3"),
    want: ["a.b", "b", "10.1.2.3", "10.1.2", "10.1", "10"],
    why: "client: name, then address",
  },
];

for (const c of ORDERS) test(`LookupKeys ${c.why}: ${c.want[0]}`, () => assert.deepEqual(c.got, c.want));
