import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseMechanism, isAllowed } from "./mechanisms.ts";

const ALL = "EXTERNAL SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN ANONYMOUS";

const CHOICES = [
  { why: "the best of all", offered: ALL, want: "SCRAM-SHA-256" },
  { why: "the best of the plain ones", offered: "LOGIN PLAIN", want: "PLAIN" },
  { why: "noplaintext", offered: "PLAIN LOGIN CRAM-MD5", options: "noplaintext", want: "CRAM-MD5" },
  { why: "noplaintext, nothing left", offered: "PLAIN LOGIN", options: "noplaintext", want: undefined },
  {
    why: "noactive: CRAM-MD5 can be attacked",
    offered: "CRAM-MD5 SCRAM-SHA-1",
    options: "noactive",
    want: "SCRAM-SHA-1",
  },
  { why: "nodictionary: guesses can be tried on SCRAM", offered: ALL, options: "nodictionary", want: undefined },
  { why: "nodictionary, EXTERNAL", offered: ALL, options: "nodictionary", filter: "EXTERNAL", want: "EXTERNAL" },
  { why: "mutual_auth", offered: "PLAIN CRAM-MD5 SCRAM-SHA-1", options: "mutual_auth", want: "SCRAM-SHA-1" },
  { why: "noanonymous: none is", offered: "ANONYMOUS PLAIN", options: "noanonymous", want: "PLAIN" },
  { why: "never ANONYMOUS", offered: "ANONYMOUS", want: undefined },
  { why: "a token only where it is named", offered: "XOAUTH2 OAUTHBEARER EXTERNAL LOGIN", want: "LOGIN" },
  { why: "not by static: either", offered: "XOAUTH2", filter: "STATIC:ALL", want: undefined },
  { why: "named", offered: "XOAUTH2 PLAIN", filter: "XOAUTH2", want: "XOAUTH2" },
  {
    why: "a bearer token is as good as a password in clear",
    offered: "XOAUTH2",
    filter: "XOAUTH2",
    options: "noplaintext",
    want: undefined,
  },
];
for (const c of CHOICES) {
  test(`chooseMechanism() ${c.why}: ${c.offered}`, () => {
    const words = (text = "") => text.split(" ").filter(Boolean);
    const chosen = chooseMechanism(new Set(words(c.offered)), words(c.filter), new Set(words(c.options)));
    assert.equal(chosen?.name, c.want);
  });
}

const FILTERS = [
  { filter: "", want: true, why: "empty: all" },
  { filter: "PLAIN", want: true, why: "named" },
  { filter: "LOGIN", want: false, why: "another one named" },
  { filter: "!PLAIN STATIC:REST", want: false, why: "excluded" },
  { filter: "!LOGIN STATIC:REST", want: true, why: "the rest" },
  { filter: "PLAIN !PLAIN", want: true, why: "the first decides" },
  { filter: "!LOGIN", want: false, why: "only exclusions: nothing is let in" },
];
for (const { filter, want, why } of FILTERS) {
  test(`isAllowed() ${why}: "${filter}"`, () => {
    assert.equal(isAllowed("PLAIN", filter.split(" ").filter(Boolean)), want);
  });
}
