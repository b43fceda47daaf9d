/** examples/policy-quota.ts: a policy server that gives every login a daily quota of recipients, kept in memory.
 *
 *    main.cf:  smtpd_data_restrictions = check_policy_service inet:127.0.0.1:10040
 *    run:      node examples/policy-quota.ts 127.0.0.1:10040 500
 *
 *  Asked at DATA, once a message, when all recipients are known. Counts of a day are forgotten at midnight UTC. */
import { defer, dunno, type PolicyHandler, serve, warn } from "postern/policy";

/** At most this many logins are remembered a day; further ones pass, with a warning. */
const MAX_LOGINS = 100_000;

/** A handler of its own count. `now` is in milliseconds since the epoch. */
export function dailyQuota(limit: number, now: () => number = Date.now): PolicyHandler {
  let today = "";
  const used = new Map<string, number>();

  return (query) => {
    const login = query.sasl_username;
    if (query.protocol_state !== "DATA" || login === "") return dunno();

    const day = new Date(now()).toISOString().slice(0, 10);
    if (day !== today) used.clear();
    today = day;
    if (used.size >= MAX_LOGINS && !used.has(login)) return warn(`quota: too many logins to count ${login}`);

    const total = (used.get(login) ?? 0) + query.recipientCount;
    if (total > limit) return defer(`Quota of ${limit} recipients a day is used up`, "4.7.1");
    used.set(login, total);
    return dunno();
  };
}

if (import.meta.main) {
  const [listen = "127.0.0.1:10040", limit = "500"] = process.argv.slice(2);
  const server = await serve(dailyQuota(Number(limit)), { listen });
  console.log(`serving ${server.address}, ${limit} recipients a day for each login`);
  process.once("SIGTERM", () => void server.close());
}
