/** Tests of config/scope.ts: which value a service sees, and what a service is for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { computeBuiltins } from "./builtins.ts";
import { parseMainCf } from "./main-cf.ts";
import { parseMasterCf } from "./master-cf.ts";
import { parametersOf } from "./parameters.ts";
import { scopeOf, serviceRole } from "./scope.ts";
import type { ConfigSnapshot } from "./snapshot.ts";

function snapshotOf(main: string, master: string): ConfigSnapshot {
  const mainCf = parseMainCf(main, "main.cf").assignments;
  const machine = { hostname: "mx.example.org", mailVersion: "1", configDirectory: "/c" };
  const { services } = parseMasterCf(master, "master.cf");
  const builtins = computeBuiltins(machine, mainCf);
  return { generation: 1, configDirectory: "/c", mainCf, services, files: new Map(), builtins };
}

test("scopeOf() lets -o win, and $names of main.cf see it", () => {
  const snapshot = snapshotOf(
    "myhostname = a.example\nx = $y\ny = main\nsmtpd_banner = $myhostname $x",
    "s inet n - n - - smtpd -o y=own -o myhostname=b.sub.example",
  );
  const own = scopeOf(snapshot, snapshot.services[0]);
  assert.equal(own.text("x"), "own");
  assert.equal(own.text("smtpd_banner"), "b.sub.example own");
  assert.equal(own.text("mydomain"), "sub.example");
  assert.deepEqual(own.source("y"), { file: "master.cf", line: 1 });
  const main = scopeOf(snapshot);
  assert.equal(main.text("smtpd_banner"), "a.example main");
  assert.equal(main.text("mydomain"), "example");
  assert.deepEqual(main.source("y"), { file: "main.cf", line: 3 });
});

test("scopeOf() adds what the cleanup service of a service says of content and copies, and no more", () => {
  const snapshot = snapshotOf(
    "header_checks = regexp:/main\nvirtual_alias_maps = hash:/main",
    `25 inet n - n - - smtpd
587 inet n - n - - smtpd -o cleanup_service_name=own -o header_checks=regexp:/smtpd
pickup unix n - n 60 1 pickup -o cleanup_service_name=none
relay unix - - n - - smtp -o cleanup_service_name=own
own unix n - n - 0 cleanup -o header_checks=regexp:/own -o virtual_alias_maps= -o always_bcc=a@b.test
cleanup unix n - n - 0 cleanup -o body_checks=regexp:/all`,
  );
  const seen = snapshot.services.slice(0, 4).map((service) => {
    const params = scopeOf(snapshot, service);
    return ["header_checks", "virtual_alias_maps", "always_bcc", "body_checks"]
      .map((name) => params.text(name))
      .join(" ");
  });
  assert.deepEqual(seen, [
    "regexp:/main hash:/main  regexp:/all",
    "regexp:/own hash:/main a@b.test ",
    "regexp:/main hash:/main  ",
    "regexp:/main hash:/main  ",
  ]);
});

test("scopeOf() names the service and its program", () => {
  const snapshot = snapshotOf("x = $service_name/$process_name", "relay unix - - n - - smtp");
  assert.equal(scopeOf(snapshot, snapshot.services[0]).text("x"), "relay/smtp");
  assert.equal(scopeOf(snapshot).text("x"), "/");
});

const on = { smtpd_sasl_auth_enable: "yes" };
const cases = [
  { set: {}, want: "mx", why: "nothing set" },
  { set: on, want: "mx", why: "SASL alone" },
  {
    set: { ...on, smtpd_recipient_restrictions: "permit_sasl_authenticated, reject" },
    want: "submission",
    why: "the recipient list",
  },
  {
    set: { ...on, smtpd_relay_restrictions: "permit_mynetworks permit_sasl_authenticated REJECT" },
    want: "submission",
    why: "the relay list, any case",
  },
  {
    set: { ...on, smtpd_client_restrictions: "permit_sasl_authenticated,reject" },
    want: "submission",
    why: "the client list, as older stanzas have it",
  },
  { set: { smtpd_recipient_restrictions: "permit_sasl_authenticated, reject" }, want: "mx", why: "SASL is off" },
  { set: { ...on, smtpd_recipient_restrictions: "permit_mynetworks, reject" }, want: "mx", why: "logins do not count" },
  {
    set: { ...on, smtpd_recipient_restrictions: "permit_sasl_authenticated, permit_auth_destination, reject" },
    want: "mx",
    why: "strangers reach local domains",
  },
  {
    set: { ...on, smtpd_recipient_restrictions: "permit_sasl_authenticated, reject_unauth_destination, reject" },
    want: "mx",
    why: "written for local domains",
  },
  {
    set: { ...on, smtpd_recipient_restrictions: "permit_sasl_authenticated, permit, reject" },
    want: "mx",
    why: "nobody comes to the end",
  },
  {
    set: {
      ...on,
      smtpd_restriction_classes: "mua",
      mua: "permit_sasl_authenticated, reject",
      smtpd_recipient_restrictions: "mua",
    },
    want: "submission",
    why: "through a restriction class",
  },
  {
    set: { ...on, smtpd_restriction_classes: "mua", mua: "mua", smtpd_recipient_restrictions: "mua" },
    want: "mx",
    why: "a class of itself ends",
  },
  { set: { postern_service_role: "submission" }, want: "submission", why: "said so" },
  {
    set: { ...on, smtpd_relay_restrictions: "permit_sasl_authenticated, reject", postern_service_role: "mx" },
    want: "mx",
    why: "said otherwise",
  },
];
for (const c of cases)
  test(`serviceRole() ${c.why}: ${c.want}`, () => assert.equal(serviceRole(parametersOf(c.set)), c.want));

test("serviceRole() ends for classes that name each other again and again", () => {
  const set: Record<string, string> = { ...on, smtpd_recipient_restrictions: "c0" };
  for (let i = 0; i < 19; i++) set[`c${i}`] = `c${i + 1} `.repeat(5);
  set.c19 = "permit_sasl_authenticated, reject";
  set.smtpd_restriction_classes = Array.from({ length: 20 }, (_, i) => `c${i}`).join(" ");
  assert.equal(serviceRole(parametersOf(set)), "mx");
});
