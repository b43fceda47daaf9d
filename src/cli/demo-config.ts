/** cli/demo-config.ts: the files of `postern demo`: a commented main.cf and master.cf, a certificate, a Maildir for local
 *  mail. Written once; what the operator changes afterwards stays. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeSelfSigned } from "../net/self-signed.ts";

export interface DemoPorts {
  readonly submission: number;
  readonly submissions: number;
  readonly smtp: number;
  readonly sink: number;
}

export const DEMO_HOSTNAME = "mail.demo.example";

/** Makes var/demo/ and returns the config directory. The two .cf files follow the ports of this run. */
export function writeDemoFiles(root: string, ports: DemoPorts, nowMs: number): string {
  mkdirSync(dirname(root), { recursive: true });
  for (const dir of ["", "spool", "mail"]) mkdirSync(join(root, dir), { recursive: true, mode: 0o700 });
  const key = join(root, "key-and-cert.pem");
  if (!existsSync(key)) {
    const made = makeSelfSigned([DEMO_HOSTNAME, "localhost"], nowMs);
    writeFileSync(key, made.keyPem + made.certificatePem, { mode: 0o600 });
  }
  writeFileSync(join(root, "main.cf"), mainCf(root, ports));
  writeFileSync(join(root, "master.cf"), masterCf(ports));
  return root;
}

function mainCf(root: string, ports: DemoPorts): string {
  return `# main.cf of the Postern demo. Same language as Postfix's main.cf; see docs/postconf.md.
compatibility_level = 3.10
myhostname = ${DEMO_HOSTNAME}
mydomain = demo.example
myorigin = $mydomain
mydestination = $mydomain, $myhostname
alias_maps =
inet_interfaces = 127.0.0.1
queue_directory = ${join(root, "spool")}
data_directory = ${join(root, "spool")}
maillog_file = ${join(root, "maillog")}

# Started by root, the workers run as this account; started by anybody else, as him.
mail_owner = nobody

# Nobody is trusted by address: even this machine has to log in to relay.
mynetworks =

# Users: postern -c var/demo user add|passwd|list|delete
smtpd_sasl_type = postern
postern_user_file = ${join(root, "users")}

# TLS with a certificate of our own making; real servers bring a real one.
smtpd_tls_security_level = may
smtpd_tls_chain_files = ${join(root, "key-and-cert.pem")}

# Everything that is not ours goes to this next hop: the demo's sink.
relayhost = [127.0.0.1]:${ports.sink}

# Mail for demo.example is put into Maildirs here.
local_recipient_maps =
postern_local_maildir = ${join(root, "mail")}/$user/

smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
`;
}

function masterCf(ports: DemoPorts): string {
  return `# master.cf of the Postern demo: three doors.
# service  type private unpriv chroot wakeup maxproc command
${ports.smtp}       inet n - n - - smtpd
${ports.submission}       inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
${ports.submissions}       inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
`;
}
