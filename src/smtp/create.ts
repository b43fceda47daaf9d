/** smtp/create.ts: makes the delivery agent of one client transport. */
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import { createDeliveryChecks } from "../cleanup/content-checks.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import type { FileReaders } from "../net/tls-files.ts";
import { type AddressMap, createAddressMap } from "../rewrite/address-map.ts";
import { createResolver } from "../rewrite/create.ts";
import type { TableOpener } from "../tables/table.ts";
import { SmtpAgent } from "./agent.ts";
import { MtaSts } from "./mta-sts.ts";
import { ownAddresses } from "./own-addresses.ts";
import { type Protocol, type Settings, settingsOf } from "./settings.ts";
import { TlsEngine } from "./tls-engine.ts";
import type { TlsTally } from "./tls-tally.ts";

export interface SmtpAgentOptions {
  /** The scope of the transport's line in master.cf. */
  readonly params: Parameters;
  readonly dns: Dns;
  readonly tables: TableOpener;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Log;
  /** IP addresses of this machine; inet_interfaces says which of them count. */
  readonly myAddresses: readonly string[];
  /** Files with keys and certificates; by default there are none. */
  readonly tlsFiles?: (FileReaders & { onChange?(run: () => void): void }) | undefined;
  /** Where MTA-STS policies are kept, and the port of their servers if it is not 443; by default they are not kept. */
  readonly mtaSts?: { readonly directory: string; readonly port?: number } | undefined;
  /** Counts for reports; by default nothing is counted. */
  readonly tally?: Pick<TlsTally, "record"> | undefined;
  /** "smtp" if undefined. */
  readonly protocol?: Protocol | undefined;
}

const HTTPS_PORT = 443;

/** The agent. Throws ParameterError for a bad parameter. */
export function createSmtpAgent(options: SmtpAgentOptions): DeliveryAgent {
  const { params, protocol = "smtp", tlsFiles } = options;
  const own = ownAddresses(params, options.myAddresses);
  const settings = withOwnAddress(settingsOf(params, protocol), own.single);
  const noFile = { read: () => ({ error: "No such file or directory" }) };
  const engine = new TlsEngine(settings.tls, tlsFiles ?? noFile, options.clock);
  tlsFiles?.onChange?.(() => engine.forget());
  return new SmtpAgent({
    ...options,
    settings,
    engine,
    tally: settings.tls.report && options.tally,
    sts: settings.tls.mtaSts ? openMtaSts(options, engine) : undefined,
    generic: genericMap(options, protocol),
    checks: createDeliveryChecks(params, options.tables, protocol),
    myAddresses: own.receiving,
    random: Math.random,
  });
}

/** A machine that serves one address connects from it. */
function withOwnAddress(settings: Settings, single: { readonly 4: string; readonly 6: string }): Settings {
  const { bindAddress, bindAddress6 } = settings;
  return { ...settings, bindAddress: bindAddress || single[4], bindAddress6: bindAddress6 || single[6] };
}

function openMtaSts({ dns, clock, log, mtaSts }: SmtpAgentOptions, engine: TlsEngine): MtaSts {
  return new MtaSts({
    ...{ dns, clock, log },
    directory: mtaSts?.directory,
    port: mtaSts?.port ?? HTTPS_PORT,
    authorities() {
      const found = engine.authorities({ anchorFiles: [], sts: { enforced: true } });
      return "problem" in found ? [] : found.authorities.map((authority) => authority.toString());
    },
  });
}

function genericMap({ params, tables, myAddresses }: SmtpAgentOptions, protocol: Protocol): AddressMap | undefined {
  const name = `${protocol}_generic_maps` as const;
  if (params.get(name).length === 0) return undefined;
  const resolver = createResolver(params, { tables, ownAddresses: myAddresses });
  return createAddressMap(name, "generic", params, { tables, resolver });
}
