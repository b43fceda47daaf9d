/** config/scope.ts: the parameters of one snapshot as a service sees them, and what a service is for (design §7). */
import { domainOfHost } from "./builtins.ts";
import { splitList } from "./declare.ts";
import { ParameterError, Parameters } from "./parameters.ts";
import type { Assignment, ConfigSnapshot, ServiceEntry } from "./snapshot.ts";

/** Of cleanup's parameters those that a service of it may set apart from the services it works for. */
export const OF_CLEANUP_SERVICE: ReadonlySet<string> = new Set(
  `header_checks mime_header_checks nested_header_checks body_checks always_bcc sender_bcc_maps recipient_bcc_maps`.split(
    " ",
  ),
);

const BRING_MAIL: ReadonlySet<string> = new Set(["smtpd", "postscreen", "pickup"]);

/** main.cf under the service's `-o` options, and under those of the cleanup service it names; without a service, main.cf
 *  alone. */
export function scopeOf(snapshot: ConfigSnapshot, service?: ServiceEntry): Parameters {
  const { files } = snapshot;
  if (!service) return new Parameters({ assignments: snapshot.mainCf, builtins: snapshot.builtins, files });
  const builtins = new Map(snapshot.builtins);
  builtins.set("service_name", service.name);
  builtins.set("process_name", service.command);
  const assignments = [...snapshot.mainCf, ...service.overrides];
  if (service.overrides.some(({ name }) => name === "myhostname")) {
    const own = new Parameters({ assignments, builtins });
    const myhostname = readable(own, "myhostname");
    if (myhostname !== undefined) builtins.set("mydomain", domainOfHost(myhostname));
  }
  const params = new Parameters({ assignments, builtins, files });
  const ofCleanup = BRING_MAIL.has(service.command) ? cleanupOptions(snapshot, params) : [];
  if (ofCleanup.length === 0) return params;
  return new Parameters({ assignments: [...assignments, ...ofCleanup], builtins, files });
}

function cleanupOptions(snapshot: ConfigSnapshot, params: Parameters): readonly Assignment[] {
  const wanted = readable(params, "cleanup_service_name");
  const cleanup = snapshot.services.find(({ name, command }) => command === "cleanup" && name === wanted);
  return (cleanup?.overrides ?? []).filter(({ name }) => OF_CLEANUP_SERVICE.has(name));
}

export type ServiceRole = "submission" | "mx";

/** Lists in any of which `reject` at the end shuts strangers out. */
const SESSION_LISTS = [
  "smtpd_client_restrictions",
  "smtpd_helo_restrictions",
  "smtpd_sender_restrictions",
  "smtpd_relay_restrictions",
  "smtpd_recipient_restrictions",
] as const;

/** postern_service_role if set; else submission where SASL is on and strangers end in reject; else mx.
 *  Throws ParameterError for bad values, which check has reported. */
export function serviceRole(params: Parameters): ServiceRole {
  const explicit = params.text("postern_service_role").toLowerCase();
  if (explicit === "submission" || explicit === "mx") return explicit;
  if (params.text("smtpd_sasl_auth_enable").toLowerCase() !== "yes") return "mx";
  return SESSION_LISTS.some((name) => endsStrangersInReject(params, name)) ? "submission" : "mx";
}

const MAX_CLASS_DEPTH = 20;
/** Over all classes of one list; stops a class that names others twice, which name others twice, … */
const MAX_WORDS = 10_000;

function endsStrangersInReject(params: Parameters, name: string): boolean {
  const classes = new Set(splitList(params.text("smtpd_restriction_classes"), "smtpd_restriction_classes"));
  const words = wordsOf(params, name, { classes, depth: 0, budget: { words: MAX_WORDS } }).map((word) =>
    word.toLowerCase(),
  );
  if (words.at(-1) !== "reject" || !words.includes("permit_sasl_authenticated")) return false;
  return (
    !words.includes("permit_auth_destination") &&
    !words.includes("reject_unauth_destination") &&
    !words.includes("permit")
  );
}

/** The words of a list with its restriction classes put in. Classes of classes stop where access/ refuses the list. */
function wordsOf(
  params: Parameters,
  name: string,
  within: { readonly classes: ReadonlySet<string>; readonly depth: number; readonly budget: { words: number } },
): readonly string[] {
  const words = splitList(params.text(name), name);
  within.budget.words -= words.length;
  if (within.depth >= MAX_CLASS_DEPTH || within.budget.words < 0) return words;
  const inner = { ...within, depth: within.depth + 1 };
  return words.flatMap((word) => (within.classes.has(word) ? wordsOf(params, word, inner) : [word]));
}

function readable(params: Parameters, name: string): string | undefined {
  try {
    return params.text(name);
  } catch (error) {
    if (error instanceof ParameterError) return undefined;
    throw error;
  }
}
