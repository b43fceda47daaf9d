/** master/stand-alone.ts: one SMTP session outside of any server, for a user of this machine (sendmail -bs): no access control,
 *  no login, no TLS, no limits by client; what it takes goes to the cleanup that it is given. */
import { systemClock } from "../base/clock.ts";
import type { Cleanup } from "../cleanup/cleanup.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, ServiceEntry } from "../config/snapshot.ts";
import type { Dns } from "../dns/resolver.ts";
import type { LogSink } from "../log/log.ts";
import { QueueIdAllocator } from "../mail/queue-id.ts";
import type { Socket } from "../net/connection.ts";
import { createSmtpd } from "../smtpd/create.ts";
import { createTableOpener } from "../tables/open.ts";
import { rehearsalKit, silentDns, silentProber } from "./rehearsal-kit.ts";
import { wireService } from "./service.ts";
import { SnapshotFiles } from "./snapshot-files.ts";
import { tableSettings } from "./table-settings.ts";

/** Of main.cf, whatever it says; the rest counts. */
const OVERRIDES: Readonly<Record<string, string>> = {
  smtpd_client_restrictions: "",
  smtpd_helo_restrictions: "",
  smtpd_sender_restrictions: "",
  smtpd_relay_restrictions: "permit",
  smtpd_recipient_restrictions: "permit",
  smtpd_data_restrictions: "",
  smtpd_end_of_data_restrictions: "",
  smtpd_etrn_restrictions: "reject",
  smtpd_reject_unlisted_sender: "no",
  smtpd_reject_unlisted_recipient: "no",
  smtpd_sasl_auth_enable: "no",
  smtpd_tls_security_level: "none",
  smtpd_tls_wrappermode: "no",
  smtpd_upstream_proxy_protocol: "",
  smtpd_proxy_filter: "",
  smtpd_authorized_xclient_hosts: "",
  smtpd_authorized_xforward_hosts: "",
  // Batches of commands come in one piece.
  smtpd_forbid_unauth_pipelining: "no",
  smtpd_peername_lookup: "yes",
  postern_service_role: "submission",
};

export interface StandAloneInput {
  readonly snapshot: ConfigSnapshot;
  readonly socket: Socket;
  readonly sink: LogSink;
  readonly cleanup: (params: Parameters) => Cleanup;
}

/** Resolves when the session has ended. Throws ParameterError for a configuration that no server would start with. */
export async function standAloneSession({ snapshot, socket, sink, cleanup }: StandAloneInput): Promise<void> {
  const ids = new QueueIdAllocator({ nowMicros: systemClock.nowMicros, shard: 0, long: false, floorMicros: 0 });
  const kit = { ...rehearsalKit(localhostOnly(), sink), clock: systemClock, nextQueueId: () => ids.next() };
  const files = new SnapshotFiles(snapshot.files);
  const log = kit.logFor("sendmail");
  const tables = createTableOpener({ files, log, clock: systemClock, ...tableSettings(snapshot) });
  const service = serviceOf();
  const wired = wireService({ snapshot, service, tables, files, kit, prober: silentProber }, cleanup);
  try {
    const smtpd = createSmtpd(wired.options);
    smtpd.accept(socket);
    await smtpd.idle();
  } finally {
    await wired.close();
    await tables.close?.();
    await kit.hashes.close();
  }
}

function serviceOf(): ServiceEntry {
  const at = { file: "sendmail -bs", line: 1 };
  return {
    ...{ name: "smtpd", type: "inet", command: "smtpd", args: [], at },
    ...{ private: false, unprivileged: true, chroot: false, wakeup: 0, maxproc: undefined },
    overrides: Object.entries(OVERRIDES).map(([name, value]) => ({ name, value, at })),
  };
}

/** The client is localhost; nobody else is asked for. */
function localhostOnly(): Dns {
  return {
    ...silentDns(),
    reverse: async () => ({ kind: "found", records: ["localhost"] }),
    addresses: async () => ({ kind: "found", records: [{ address: "127.0.0.1", family: 4 }] }),
  };
}
