/** master/smtp-services.ts: the SMTP services of one generation, by their name in master.cf. A service whose sessions are
 *  capped stands twice: as written, and as while all its sessions are in use, with `stress = yes` (STRESS_README). */
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { Smtpd } from "../smtpd/options.ts";
import { isSmtpService } from "./listeners.ts";
import { buildService, type ServiceInput } from "./service.ts";
import { underStress } from "./stressed-service.ts";

export interface SmtpServices {
  readonly all: readonly Smtpd[];
  /** Who takes a connection now; undefined: there is no such service any more. */
  find(service: string, state: { readonly stressed: boolean }): Smtpd | undefined;
  close(): Promise<void>;
}

type Input = Parameters<typeof buildService>[0];

/** Throws ParameterError for what check should have found. */
export function buildSmtpServices(input: Omit<Input, "service"> & { readonly snapshot: ConfigSnapshot }): SmtpServices {
  const calm = new Map<string, Smtpd>();
  const stressed = new Map<string, Smtpd>();
  const closers: (() => Promise<void>)[] = [];
  const build = (service: ServiceInput["service"]): Smtpd => {
    const built = buildService({ ...input, service });
    closers.push(built.close);
    return built.smtpd;
  };
  for (const service of input.snapshot.services) {
    if (!isSmtpService(service)) continue;
    calm.set(service.name, build(service));
    const capped = underStress(service);
    if (capped) stressed.set(service.name, build(capped));
  }
  return {
    all: [...calm.values(), ...stressed.values()],
    find: (name, state) => (state.stressed ? stressed.get(name) : undefined) ?? calm.get(name),
    async close() {
      for (const close of closers) await close();
    },
  };
}
