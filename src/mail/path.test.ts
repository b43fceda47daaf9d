/** Tests of parsePath(). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress, formatAddress } from "./address.ts";
import { type PathOptions, parsePath } from "./path.ts";

const LAX: PathOptions = { strict: false, utf8: false, nullAllowed: true };
const STRICT: PathOptions = { ...LAX, strict: true };
const UTF8: PathOptions = { ...LAX, utf8: true };
const RCPT: PathOptions = { ...LAX, nullAllowed: false };

/** `want`: "address|rest", or undefined for bad syntax. */
const cases: readonly { in: string; options: PathOptions; want: string | undefined; why: string }[] = [
  { in: "<a@b.test>", options: STRICT, want: "a@b.test|", why: "plain" },
  { in: "<a@b.test> SIZE=1 BODY=7BIT", options: STRICT, want: "a@b.test|SIZE=1 BODY=7BIT", why: "parameters" },
  { in: "<>", options: STRICT, want: "|", why: "null reverse-path" },
  { in: "<>", options: RCPT, want: undefined, why: "no null forward-path" },
  { in: "< >", options: LAX, want: "|", why: "blank in the null path" },
  { in: "", options: LAX, want: undefined, why: "nothing at all is not <>" },
  { in: "<@x.test,@y.test:a@b.test>", options: STRICT, want: "a@b.test|", why: "SMTP-32 source route ignored" },
  { in: " <a@b.test>", options: LAX, want: "a@b.test|", why: "SMTP-14 blank behind the colon" },
  { in: " <a@b.test>", options: STRICT, want: undefined, why: "SMTP-14 strict" },
  { in: "a@b.test SIZE=1", options: LAX, want: "a@b.test|SIZE=1", why: "SMTP-15 no brackets" },
  { in: "a@b.test", options: STRICT, want: undefined, why: "SMTP-15 strict" },
  { in: "<a@b.test", options: LAX, want: undefined, why: "bracket not closed" },
  { in: "<a@b.test>x", options: LAX, want: undefined, why: "junk at the bracket" },
  { in: '<"bob"@b.test>', options: STRICT, want: "bob@b.test|", why: "SMTP-33 needless quotes" },
  { in: '<"b\\ob"@b.test>', options: STRICT, want: "bob@b.test|", why: "SMTP-33 needless quoted pair" },
  { in: '<"two words"@b.test>', options: STRICT, want: "two words@b.test|", why: "blank in quotes" },
  { in: '<"a>b"@b.test> X', options: STRICT, want: "a>b@b.test|X", why: "bracket in quotes" },
  { in: '<"a@x"@b.test>', options: STRICT, want: "a@x@b.test|", why: "at sign in quotes" },
  { in: '<"a\\"b"@b.test>', options: STRICT, want: 'a"b@b.test|', why: "quoted quote" },
  { in: '<""@b.test>', options: STRICT, want: undefined, why: "empty local part" },
  { in: '<"open@b.test>', options: LAX, want: undefined, why: "open quote" },
  { in: "<@b.test>", options: LAX, want: undefined, why: "no local part" },
  { in: "<a@>", options: LAX, want: undefined, why: "no domain" },
  { in: "<Postmaster>", options: STRICT, want: "Postmaster|", why: "SMTP-34 bare local part" },
  { in: "<a@[192.0.2.1]>", options: STRICT, want: "a@[192.0.2.1]|", why: "address literal" },
  { in: "<a@[IPv6:2001:db8::1]>", options: STRICT, want: "a@[IPv6:2001:db8::1]|", why: "IPv6 literal" },
  { in: "<a@[]>", options: LAX, want: undefined, why: "empty literal" },
  { in: "<a@[ipv6:2001:db8::1]>", options: LAX, want: "a@[ipv6:2001:db8::1]|", why: "the tag in any letters" },
  { in: "<a@[2001:db8::1]>", options: LAX, want: undefined, why: "IPv6 without its tag" },
  { in: "<a@[IPv6:192.0.2.1]>", options: LAX, want: undefined, why: "IPv4 behind the tag" },
  { in: "<a@[999.1.1.1]>", options: LAX, want: undefined, why: "octet above 255" },
  { in: "<a@[0.1.2.3]>", options: LAX, want: undefined, why: "first octet 0" },
  { in: "<a@[0.0.0.0]>", options: LAX, want: "a@[0.0.0.0]|", why: "all zero" },
  { in: "<a@[x.test]>", options: LAX, want: undefined, why: "a name in brackets" },
  { in: "<-a@b.test>", options: LAX, want: undefined, why: "hyphen first in the local part" },
  { in: '<"-a"@b.test>', options: STRICT, want: undefined, why: "hyphen first, in quotes" },
  { in: "<-a@b.test>", options: { ...LAX, minUser: true }, want: "-a@b.test|", why: "allow_min_user" },
  { in: "<a@192.0.2.1>", options: LAX, want: undefined, why: "numeric domain" },
  { in: "<a..b@b.test>", options: LAX, want: "a..b@b.test|", why: "double dot, some phones" },
  { in: "<a..b@b.test>", options: STRICT, want: undefined, why: "double dot, strict" },
  { in: "<a.@b.test>", options: LAX, want: "a.@b.test|", why: "final dot" },
  { in: "<a@b.test.>", options: LAX, want: "a@b.test|", why: "root dot dropped" },
  { in: "<a@b@c.test>", options: LAX, want: "a@b@c.test|", why: "sender routing" },
  { in: "<a@b@c.test>", options: STRICT, want: undefined, why: "sender routing, strict" },
  { in: "<a@b..test>", options: LAX, want: undefined, why: "empty label" },
  { in: "<a@-b.test>", options: LAX, want: undefined, why: "hyphen first" },
  { in: "<a b@c.test>", options: LAX, want: undefined, why: "blank without quotes" },
  { in: "<a\0b@c.test>", options: LAX, want: undefined, why: "SMTP-31 NUL" },
  { in: '<"a\rb"@c.test>', options: LAX, want: undefined, why: "SMUG-12 CR in quotes" },
  { in: "<\u00e9@b.test>", options: LAX, want: undefined, why: "UTF-8 not allowed" },
  { in: "<\u00e9@b\u00fccher.test>", options: UTF8, want: "\u00e9@b\u00fccher.test|", why: "EAI-03" },
  { in: "<\ud800@b.test>", options: UTF8, want: undefined, why: "lone surrogate" },
  { in: `<${"l".repeat(64)}@b.test>`, options: STRICT, want: `${"l".repeat(64)}@b.test|`, why: "DAT-05, LIM-04" },
  { in: `<a@${"x".repeat(64)}.test>`, options: LAX, want: undefined, why: "label above 63" },
  { in: `<${"l".repeat(1000)}@b.test>`, options: LAX, want: undefined, why: "above 1000" },
];

for (const c of cases) {
  test(`parsePath() ${c.why}: ${JSON.stringify(c.in).slice(0, 60)}`, () => {
    const got = parsePath(c.in, c.options);
    assert.equal(got && `${got.address}|${got.rest}`, c.want);
  });
}

test("parsePath() reads what formatAddress() writes", () => {
  const local = fc.string({
    minLength: 1,
    maxLength: 30,
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((n) => String.fromCharCode(n)),
  });
  fc.assert(
    fc.property(local, fc.constantFrom("b.test", "[192.0.2.1]", "x-y.example.org"), (name, domain) => {
      const address = asAddress(`${name}@${domain}`);
      assert.equal(parsePath(`<${formatAddress(address)}>`, { ...STRICT, minUser: true })?.address, address);
    }),
  );
});

test("parsePath() never throws and never lets a line end through", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.boolean(), (text, strict) => {
      const got = parsePath(text, { strict, utf8: true, nullAllowed: true });
      assert.ok(got === undefined || !/[\r\n\0]/.test(got.address));
    }),
  );
});
