/** test/bench/access.ts: what 30 restrictions cost for one RCPT over tables in memory, when the last of them decides.
 *  Part of `npm run bench`; alone: node --expose-gc test/bench/access.ts */
import type { Facts } from "../../src/access/access.ts";
import { compileAccess } from "../../src/access/compile.ts";
import { systemClock } from "../../src/base/clock.ts";
import { parametersOf } from "../../src/config/parameters.ts";
import { Log } from "../../src/log/log.ts";
import { asAddress } from "../../src/mail/address.ts";
import { createResolver } from "../../src/rewrite/create.ts";
import { createTableOpener } from "../../src/tables/open.ts";
import { compileAddressList } from "../../src/tables/pattern-list.ts";

/** Entries in each text table, none of which matches. */
const ENTRIES = 10_000;
const RCPTS = 4000;
const ROUNDS = 40;

/** Thirty, as a large site has them: every one is evaluated, the last decides. */
const RESTRICTIONS = [
  "permit_mynetworks",
  "permit_sasl_authenticated",
  "reject_unauth_pipelining",
  "reject_non_fqdn_sender",
  "reject_non_fqdn_recipient",
  "reject_invalid_helo_hostname",
  "reject_non_fqdn_helo_hostname",
  "reject_authenticated_sender_login_mismatch",
  "reject_unlisted_sender",
  ...["client", "reverse_client_hostname", "helo", "sender", "recipient", "sasl"].map(
    (w) => `check_${w}_access texthash:/a`,
  ),
  ...["client", "helo", "sender", "recipient"].map((w) => `check_${w}_access texthash:/b`),
  ...["client", "helo", "sender", "recipient"].map((w) => `check_${w}_access inline:{nobody.test=REJECT}`),
  "check_client_access cidr:/c",
  "check_helo_access regexp:/r",
  "check_sender_access pcre:/r",
  "check_recipient_access pcre:/r",
  "reject_plaintext_session",
  "permit_auth_destination",
  "reject",
];

const FILES: Readonly<Record<string, string>> = {
  "/a": rows((i) => `user${i}@site${i}.test REJECT`),
  "/b": rows((i) => `site${i}.test OK`),
  "/c": rows((i) => `10.${i >> 8}.${i & 255}.0/24 REJECT`, 50),
  "/r": rows((i) => `/^x${i}[0-9]+\\.dyn\\./ REJECT`, 5),
};

function rows(row: (i: number) => string, count = ENTRIES): string {
  return `${Array.from({ length: count }, (_, i) => row(i)).join("\n")}\n`;
}

const FACTS: Facts = {
  client: {
    address: "198.51.100.7",
    port: 40000,
    name: "host7.net.example",
    reverseName: "host7.net.example",
    nameStatus: "verified",
  },
  server: { address: "192.0.2.25", port: 25 },
  protocol: "ESMTP",
  command: "RCPT",
  helo: "host7.net.example",
  sender: asAddress("someone@net.example"),
  recipient: asAddress("friend@example.org"),
  recipientCount: 0,
  sasl: { method: "PLAIN", username: "someone" },
  saslEnabled: true,
  tls: { protocol: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", bits: 256, reused: false, peer: undefined },
  sizeBytes: 4096,
  queueId: undefined,
  earlyTalker: false,
};

export interface AccessCost {
  readonly restrictions: number;
  /** Processor time: the median of many short rounds, and the least, to which other programs on the machine only add. */
  readonly median: number;
  readonly least: number;
  /** New heap for each RCPT; undefined without --expose-gc. */
  readonly bytes: number | undefined;
}

/** Many short rounds after a warm-up. */
export async function measureAccess(): Promise<AccessCost> {
  const session = compile().newSession();
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    // Processor time, collector and compiler included: what other programs on the machine do is not counted.
    const begin = process.cpuUsage();
    for (let i = 0; i < RCPTS; i++) await session.atRcpt(FACTS);
    const { user, system } = process.cpuUsage(begin);
    if (round > 0) times.push((user + system) / RCPTS);
  }
  times.sort((a, b) => a - b);
  const [least = 0, median = 0] = [times[0], times[ROUNDS >> 1]];
  return { restrictions: RESTRICTIONS.length, median, least, bytes: await heapOf(async () => session.atRcpt(FACTS)) };
}

function compile() {
  const params = parametersOf({
    compatibility_level: "3.10",
    mydestination: "example.org",
    local_recipient_maps: "",
    smtpd_relay_restrictions: "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
    smtpd_recipient_restrictions: RESTRICTIONS.filter((word) => word !== "permit_sasl_authenticated").join(", "),
    smtpd_sender_login_maps: "static:someone",
  });
  const read = (path: string) => Buffer.from(FILES[path] ?? "");
  const log = new Log({ sink: () => {}, now: () => 0, tag: "bench", id: 1 });
  const tables = createTableOpener({ files: { read }, log, configDirectory: "/" });
  const { policy, problems } = compileAccess(params, {
    tables,
    resolver: createResolver(params, { tables, ownAddresses: [] }),
    log,
    mynetworks: compileAddressList(["127.0.0.0/8", "192.0.2.0/24"], { opener: tables, files: { read } }),
    clock: systemClock,
  });
  if (problems.length > 0) throw new Error(problems.map(({ text }) => text).join("; "));
  return policy;
}

async function heapOf(run: () => Promise<unknown>): Promise<number | undefined> {
  if (!globalThis.gc) return undefined;
  const times = 2000;
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < times; i++) await run();
  return (process.memoryUsage().heapUsed - before) / times;
}

/** One line for the benchmark page. */
export function formatAccessCost({ restrictions, median, least, bytes }: AccessCost): string {
  const heap = bytes === undefined ? "" : `, ${bytes.toFixed(0)} bytes of new heap`;
  return `${restrictions} restrictions over tables in memory: ${median.toFixed(1)} µs for each RCPT (least ${least.toFixed(1)})${heap}.\n`;
}

if (import.meta.main) process.stdout.write(formatAccessCost(await measureAccess()));
