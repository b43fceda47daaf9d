/** policy/policy.ts: the policy delegation protocol as other rooms see it (SMTPD_POLICY_README, postfix.md §4).
 *  What an action means is access/'s business: here it is text. */

/** Attributes of one request, in the order in which they are sent. Values are printable, without line ends. */
export type PolicyRequest = readonly (readonly [name: string, value: string])[];

/** `answer`: the value of `action=`. `failed`: no answer in time, garbage, or no connection, after all tries; the
 *  caller gives the service's default action. `why` is for the log. */
export type PolicyAnswer =
  | { readonly kind: "answer"; readonly action: string }
  | { readonly kind: "failed"; readonly why: string };

/** One server with its settings; connections are kept and shared by all sessions of a worker. */
export interface PolicyService {
  /** "inet:127.0.0.1:10023", for logs and traces. */
  readonly name: string;
  /** smtpd_policy_service_default_action or the `default_action` of the restriction. */
  readonly defaultAction: string;
  /** smtpd_policy_service_policy_context or the `policy_context` of the restriction. */
  readonly policyContext: string;
  /** Bounded by the service's time and retry limits; never rejects. */
  ask(request: PolicyRequest): Promise<PolicyAnswer>;
}

export interface PolicyServers {
  /** `argument` is what follows check_policy_service. The same argument gives the same service.
   *  Throws ParameterError for a bad endpoint or attribute. */
  open(argument: string): PolicyService;
  close(): Promise<void>;
}
