/** config/registry.ts: all declared parameters in one table, and the types that follow from it. */
import type { Declaration } from "./declare.ts";
import { ACCESS_PARAMETERS } from "./params/access.ts";
import { ACCESS_DNS_PARAMETERS } from "./params/access-dns.ts";
import { ANVIL_PARAMETERS } from "./params/anvil.ts";
import { AUTHENTICATION_PARAMETERS } from "./params/authentication.ts";
import { AUTOCONFIG_PARAMETERS } from "./params/autoconfig.ts";
import { BOUNCE_PARAMETERS } from "./params/bounce.ts";
import { CLEANUP_PARAMETERS } from "./params/cleanup.ts";
import { DKIM_PARAMETERS } from "./params/dkim.ts";
import { GENERAL_PARAMETERS } from "./params/general.ts";
import { IDENTITY_PARAMETERS } from "./params/identity.ts";
import { LOCAL_PARAMETERS } from "./params/local.ts";
import { LOG_PARAMETERS } from "./params/log.ts";
import { MASTER_PARAMETERS } from "./params/master.ts";
import { MILTER_PARAMETERS } from "./params/milter.ts";
import { PICKUP_PARAMETERS } from "./params/pickup.ts";
import { POLICY_PARAMETERS } from "./params/policy.ts";
import { PROXY_PARAMETERS } from "./params/proxy.ts";
import { QMGR_PARAMETERS } from "./params/qmgr.ts";
import { QUEUE_PARAMETERS } from "./params/queue.ts";
import { REWRITE_PARAMETERS } from "./params/rewrite.ts";
import { SASL_PARAMETERS } from "./params/sasl.ts";
import { SMTP_PARAMETERS } from "./params/smtp.ts";
import { SMTP_TLS_PARAMETERS } from "./params/smtp-tls.ts";
import { SMTPD_PARAMETERS } from "./params/smtpd.ts";
import { SUBMISSION_PARAMETERS } from "./params/submission.ts";
import { TLS_PARAMETERS } from "./params/tls.ts";
import { VERIFY_PARAMETERS } from "./params/verify.ts";
import { VIRTUAL_PARAMETERS } from "./params/virtual.ts";

/** Every parameter that has an effect. Postfix parameters without effect here are only named, in postfix-names.ts. */
export const REGISTRY = {
  ...GENERAL_PARAMETERS,
  ...SMTPD_PARAMETERS,
  ...SUBMISSION_PARAMETERS,
  ...TLS_PARAMETERS,
  ...SASL_PARAMETERS,
  ...AUTOCONFIG_PARAMETERS,
  ...ACCESS_PARAMETERS,
  ...ANVIL_PARAMETERS,
  ...POLICY_PARAMETERS,
  ...ACCESS_DNS_PARAMETERS,
  ...REWRITE_PARAMETERS,
  ...CLEANUP_PARAMETERS,
  ...DKIM_PARAMETERS,
  ...IDENTITY_PARAMETERS,
  ...AUTHENTICATION_PARAMETERS,
  ...MILTER_PARAMETERS,
  ...QUEUE_PARAMETERS,
  ...QMGR_PARAMETERS,
  ...SMTP_PARAMETERS,
  ...SMTP_TLS_PARAMETERS,
  ...LOCAL_PARAMETERS,
  ...VERIFY_PARAMETERS,
  ...PROXY_PARAMETERS,
  ...VIRTUAL_PARAMETERS,
  ...BOUNCE_PARAMETERS,
  ...LOG_PARAMETERS,
  ...MASTER_PARAMETERS,
  ...PICKUP_PARAMETERS,
} satisfies Record<string, Declaration<unknown>>;

export type ParameterName = keyof typeof REGISTRY;

/** The TypeScript type of a parameter's parsed value. */
export type ParameterValue<N extends ParameterName> = (typeof REGISTRY)[N] extends Declaration<infer T> ? T : never;
