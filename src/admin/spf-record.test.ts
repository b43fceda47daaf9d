import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isSpf, parseSpf, withAddresses, withAll } from "./spf-record.ts";

const KINDS = [
  { in: "v=spf1", want: true },
  { in: "V=SPF1 -all", want: true },
  { in: "v=spf10 -all", want: false },
  { in: " v=spf1 -all", want: false },
  { in: "spf2.0/pra -all", want: false },
];
for (const c of KINDS) test(`isSpf() "${c.in}"`, () => assert.equal(isSpf(c.in), c.want));

const RECORDS = [
  { in: "v=spf1 mx -all", all: "-", why: "the common one" },
  { in: "v=spf1  mx   ~all ", all: "~", why: "blanks" },
  { in: "v=spf1 ALL", all: "+", why: "no sign is plus" },
  { in: "v=spf1 mx", all: undefined, why: "no end" },
  { in: "v=spf1 redirect=_spf.example.org", all: "redirect", why: "somebody else's end" },
  { in: "v=spf1 -all redirect=x.test", all: "-", why: "RFC 7208 §6.1: all goes before redirect" },
  { in: "v=spf1 redirect=x.test -all", all: "-", why: "wherever it stands" },
  { in: "v=spf1 redirect= -all", all: "-", problem: /names no domain/, why: "nobody's end" },
  {
    in: "v=spf1 a:h.test/24 a//64 mx/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:i.test exists:%{i}.x.test ptr:p.test exp=e.test -all",
    all: "-",
    why: "all mechanisms",
  },
  { in: "v=spf1 ip4:192.0.2.256 -all", all: "-", problem: /"ip4:192.0.2.256" is no address/, why: "a bad address" },
  { in: "v=spf1 ip4:2001:db8::1 -all", all: "-", problem: /is no address/, why: "of the other kind" },
  { in: "v=spf1 ip4:192.0.2.1/33 -all", all: "-", problem: /is no address/, why: "a bad length" },
  { in: "v=spf1 ip4 -all", all: "-", problem: /is no address/, why: "no address at all" },
  { in: "v=spf1 include -all", all: "-", problem: /"include" names no domain/, why: "no domain" },
  { in: "v=spf1 mx: -all", all: "-", problem: /cannot be read/, why: "an empty domain" },
  { in: "v=spf1 all:x", all: "+", problem: /takes no value/, why: "a value too many" },
  { in: "v=spf1 mx, -all", all: "-", problem: /cannot be read|no mechanism/, why: "a comma" },
  { in: "v=spf1 sender:x -all", all: "-", problem: /no mechanism/, why: "a word of another standard" },
];
for (const { in: text, all, problem, why } of RECORDS) {
  test(`parseSpf() ${why}`, () => {
    const record = parseSpf(text);
    assert.equal(record.all, all);
    if (problem === undefined) assert.deepEqual(record.problems, []);
    else assert.match(record.problems.join(), problem);
  });
}

const AMENDED = [
  { in: "v=spf1 mx -all", want: "v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1 -all" },
  { in: "v=spf1 mx", want: "v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1" },
  { in: "v=spf1 mx redirect=x.test", want: "v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1 redirect=x.test" },
  { in: "v=spf1 ~all", want: "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all" },
];
for (const c of AMENDED) {
  test(`withAddresses() ${c.in}`, () => assert.equal(withAddresses(c.in, ["192.0.2.1", "2001:db8::1"]), c.want));
}
test("withAll() replaces every end", () => assert.equal(withAll("v=spf1 +all mx ?all", "~all"), "v=spf1 mx ~all"));

test("parseSpf() takes any text", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseSpf(`v=spf1 ${text}`)));
});
