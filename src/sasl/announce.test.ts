import assert from "node:assert/strict";
import { test } from "node:test";
import { ParameterError } from "../config/declare.ts";
import { parametersOf } from "../config/parameters.ts";
import { announcedMechanisms, findAnnounced } from "./announce.ts";
import type { SaslBackend } from "./backend.ts";
import { checkSasl, createSaslBackend } from "./select.ts";
import { imageOf, secretsOf } from "./testdata/accounts.ts";
import { keptLog, ManualClock } from "./testdata/manual-clock.ts";
import { mechanism } from "./testdata/memory-passwords.ts";

const backend: SaslBackend = {
  mechanisms: () => [
    mechanism("SCRAM-SHA-256", { mutualAuth: true, dictionary: true }),
    mechanism("EXTERNAL"),
    mechanism("CRAM-MD5", { active: true, dictionary: true }),
    mechanism("PLAIN", { plaintext: true, active: true, dictionary: true }),
    mechanism("LOGIN", { plaintext: true, active: true, dictionary: true }),
    mechanism("ANONYMOUS", { anonymous: true }),
  ],
  start: () => undefined,
  close: async () => undefined,
};
const OPTIONS = "smtpd_sasl_security_options";
const TLS_OPTIONS = "smtpd_sasl_tls_security_options";
const FILTER = "smtpd_sasl_mechanism_filter";

const cases = [
  { set: {}, want: "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN", why: "defaults: no EXTERNAL, no ANONYMOUS" },
  { set: { [OPTIONS]: "" }, want: "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN ANONYMOUS", why: "no options" },
  { set: { [OPTIONS]: "noanonymous, noplaintext" }, want: "SCRAM-SHA-256 CRAM-MD5", why: "noplaintext (AUTH-03)" },
  { set: { [OPTIONS]: "NOACTIVE noanonymous" }, want: "SCRAM-SHA-256", why: "noactive, any case" },
  { set: { [OPTIONS]: "nodictionary" }, want: "ANONYMOUS", why: "nodictionary" },
  { set: { [OPTIONS]: "mutual_auth" }, want: "SCRAM-SHA-256", why: "mutual_auth" },
  { set: { [OPTIONS]: "forward_secrecy" }, want: "", why: "nobody has it" },
  {
    set: { [TLS_OPTIONS]: "noplaintext" },
    want: "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN",
    why: "TLS options do not count without",
  },
  {
    set: { [OPTIONS]: "noplaintext" },
    tls: true,
    want: "SCRAM-SHA-256 CRAM-MD5 ANONYMOUS",
    why: "TLS options follow by default",
  },
  {
    set: { [OPTIONS]: "noplaintext, noanonymous", [TLS_OPTIONS]: "noanonymous" },
    tls: true,
    want: "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN",
    why: "plaintext under TLS only",
  },
  { set: { [FILTER]: "plain, Login" }, want: "PLAIN LOGIN", why: "names in any case; no match is no" },
  {
    set: { [FILTER]: "!cram-md5, static:all" },
    want: "SCRAM-SHA-256 EXTERNAL PLAIN LOGIN",
    why: "static: of any text",
  },
  {
    set: { [FILTER]: "static:rest, !plain" },
    want: "SCRAM-SHA-256 EXTERNAL CRAM-MD5 PLAIN LOGIN",
    why: "the first match decides",
  },
  { set: { [FILTER]: "!static:rest, plain" }, want: "", why: "negated static" },
  { set: { [FILTER]: "!!plain" }, want: "PLAIN", why: "twice negated" },
  { set: { [FILTER]: "" }, want: "", why: "empty" },
];
for (const c of cases) {
  test(`announcedMechanisms() ${c.why}`, () => {
    const announced = announcedMechanisms(backend, parametersOf(c.set), { tls: c.tls ?? false });
    assert.equal(announced.map((m) => m.name).join(" "), c.want);
  });
}

test("findAnnounced() accepts what is announced, in any case, and nothing else", () => {
  const announced = announcedMechanisms(backend, parametersOf({}), { tls: true });
  assert.equal(findAnnounced(announced, "plain")?.name, "PLAIN");
  assert.equal(findAnnounced(announced, "EXTERNAL"), undefined);
  assert.equal(findAnnounced(announced, "toString"), undefined);
});

const bad = [
  { name: OPTIONS, value: "noplain" },
  { name: FILTER, value: "plain, hash:/etc/mechs" },
  { name: "smtpd_sasl_type", value: "ldap" },
] as const;
for (const c of bad) {
  test(`${c.name} refuses "${c.value}"`, () => {
    assert.throws(() => parametersOf({ [c.name]: c.value }).get(c.name), ParameterError);
  });
}

const image = imageOf({ alice: secretsOf("pencil") });
for (const type of ["postern", "cyrus", undefined]) {
  test(`createSaslBackend() smtpd_sasl_type = ${type} is the user file`, async () => {
    const params = parametersOf(type === undefined ? {} : { smtpd_sasl_type: type });
    const made = createSaslBackend({ params, clock: new ManualClock(), log: keptLog().log, users: () => image });
    assert.deepEqual(
      made.mechanisms().map((m) => m.name),
      ["SCRAM-SHA-256", "PLAIN", "LOGIN"],
    );
    await made.close();
  });
}

test("createSaslBackend() dovecot needs a socket that can be", () => {
  const params = parametersOf({ smtpd_sasl_type: "dovecot", smtpd_sasl_path: "inet:nowhere" });
  const options = { params, clock: new ManualClock(), log: keptLog().log, users: () => image };
  assert.throws(() => createSaslBackend(options), ParameterError);
});

const findings = [
  { set: {}, want: [], why: "SASL is off" },
  { set: { smtpd_sasl_auth_enable: "yes" }, want: [], why: "cyrus by default: config/ warns of it" },
  { set: { smtpd_sasl_auth_enable: "yes", smtpd_sasl_type: "postern" }, want: [], why: "postern" },
  {
    set: { smtpd_sasl_auth_enable: "yes", smtpd_sasl_type: "dovecot", smtpd_sasl_path: "private/auth" },
    want: [],
    why: "path",
  },
  {
    set: { smtpd_sasl_auth_enable: "yes", smtpd_sasl_type: "dovecot", smtpd_sasl_path: "inet:x" },
    want: ["error"],
    why: "no port",
  },
];
for (const c of findings) {
  test(`checkSasl() ${c.why}`, () => {
    assert.deepEqual(
      checkSasl(parametersOf(c.set)).map((problem) => problem.severity),
      c.want,
    );
  });
}
