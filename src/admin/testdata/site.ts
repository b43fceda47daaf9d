/** admin/testdata/site.ts: configurations for the tests of account discovery, without a disk. */
import assert from "node:assert/strict";
import { loadSnapshot } from "../../config/load.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";

export interface Site {
  readonly main?: string;
  readonly master?: string;
  readonly files?: Readonly<Record<string, string>>;
}

const SUBMIT = "-o smtpd_sasl_auth_enable=yes -o { smtpd_recipient_restrictions = permit_sasl_authenticated, reject }";

/** The three services of a common site. */
export const SMTP = "smtp inet n - n - - smtpd\n";
export const SUBMISSION = `submission inet n - n - - smtpd -o smtpd_tls_security_level=encrypt ${SUBMIT}\n`;
export const SUBMISSIONS = `submissions inet n - n - - smtpd -o smtpd_tls_wrappermode=yes ${SUBMIT}\n`;

/** Options for a service that users submit to. */
export const submitting = SUBMIT;

/** mail.example.org, with submission on 465 and 587. */
export async function snapshotOf({ main = "", master = SMTP + SUBMISSION + SUBMISSIONS, files = {} }: Site) {
  const texts = new Map<string, string>([
    ["/etc/postern/main.cf", `compatibility_level = 3.10\nmydomain = example.org\nsmtpd_tls_security_level = may\n${main}`],
    ["/etc/postern/master.cf", master],
    ...Object.entries(files),
  ]);
  const { snapshot, problems } = await loadSnapshot({
    configDirectory: "/etc/postern",
    generation: 0,
    hostname: "mail.example.org",
    mailVersion: "0",
    readFile: async (path) => {
      const text = texts.get(path);
      if (text === undefined) throw Object.assign(new Error("No such file or directory"), { code: "ENOENT" });
      return Buffer.from(text);
    },
  });
  assert.ok(snapshot, JSON.stringify(problems));
  return snapshot as ConfigSnapshot;
}
