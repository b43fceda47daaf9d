/** admin/selftest-extension-rows.ts: rows about what submission has beyond SMTP: REQUIRETLS (RFC 8689), LIMITS (RFC 9422),
 *  FUTURERELEASE (RFC 4865), DELIVERBY (RFC 2852), MT-PRIORITY (RFC 6710). */
import { announced, type SelftestRow, type SelftestService, usersOnly, without } from "./selftest-row.ts";

const requireTls = (service: SelftestService): string | undefined =>
  (service.tls === "none" ? "no TLS" : undefined) ??
  without("postern_requiretls_enable", "no")(service) ??
  announced("requiretls")(service);
const futureRelease = (service: SelftestService): string | undefined =>
  usersOnly(service) ?? without("postern_future_release_max", "0")(service) ?? announced("futurerelease")(service);
const deliverBy = (service: SelftestService): string | undefined =>
  usersOnly(service) ?? without("postern_deliver_by_enable", "no")(service) ?? announced("deliverby")(service);
const priority = (service: SelftestService): string | undefined =>
  usersOnly(service) ?? without("postern_priority_enable", "no")(service) ?? announced("mt-priority")(service);

export const EXTENSION_ROWS: readonly SelftestRow[] = [
  {
    ids: ["REQ-01"],
    what: "REQUIRETLS is announced under TLS only",
    on: "submission",
    from: "greeted",
    unless: (service) => (service.tls === "starttls" ? requireTls(service) : "no STARTTLS"),
    steps: [
      ...["C: EHLO client.example.net", "!S: 250…REQUIRETLS", "S: 250 …", "C: STARTTLS", "S: 220 …", "T:"],
      ...["C: EHLO client.example.net", "S: 250-REQUIRETLS", "S: 250 …"],
    ],
  },
  {
    ids: ["REQ-02"],
    what: "REQUIRETLS has no value",
    on: "submission",
    from: "login",
    unless: requireTls,
    steps: ["C: MAIL FROM:<{sender}> REQUIRETLS=1", "S: 5…", "C: MAIL FROM:<{sender}> REQUIRETLS", "S: 250 …"],
  },
  {
    ids: ["LMT-01"],
    what: "LIMITS says how many recipients a message may have",
    on: "submission",
    from: "login",
    unless: (service) => announced("limits")(service) ?? futureRelease(service),
    steps: ["C: EHLO client.example.net", "S: 250-LIMITS …RCPTMAX=…", "S: 250 …"],
  },
  {
    ids: ["EHLO-04"],
    what: "a service for other servers offers nothing that is for submission",
    on: "mx",
    from: "tls",
    steps: [
      ...[
        "C: EHLO client.example.net",
        "!S: 250…FUTURERELEASE…",
        "!S: 250…MT-PRIORITY…",
        "!S: 250…DELIVERBY…",
        "S: 250 …",
      ],
      ...["C: MAIL FROM:<a@selftest.invalid> HOLDFOR=60", "S: 5…"],
    ],
  },
  {
    ids: ["FR-01", "FR-03"],
    what: "FUTURERELEASE names both limits; what is malformed, too long or double is refused",
    on: "submission",
    from: "login",
    unless: futureRelease,
    steps: [
      ...["C: EHLO client.example.net", "S: 250-FUTURERELEASE … …Z", "S: 250 …"],
      ...["C: MAIL FROM:<{sender}> HOLDFOR=0", "S: 501 …", "C: MAIL FROM:<{sender}> HOLDFOR=9999999999", "S: 501 …"],
      ...[
        "C: MAIL FROM:<{sender}> HOLDUNTIL=tomorrow",
        "S: 501 …",
        "C: MAIL FROM:<{sender}> HOLDFOR=60 HOLDFOR=60",
        "S: 501 …",
      ],
      ...["C: MAIL FROM:<{sender}> HOLDFOR=60", "S: 250 …"],
    ],
  },
  {
    ids: ["BY-01", "BY-02"],
    what: "BY= with a time that can be kept, and nothing else",
    on: "submission",
    from: "login",
    unless: deliverBy,
    steps: [
      ...["C: MAIL FROM:<{sender}> BY=;R", "S: 501 …", "C: MAIL FROM:<{sender}> BY=120", "S: 501 …"],
      ...["C: MAIL FROM:<{sender}> BY=120;X", "S: 501 …", "C: MAIL FROM:<{sender}> BY=0;R", "S: 501 …"],
      ...["C: MAIL FROM:<{sender}> BY=999999;RT", "S: 250 …"],
    ],
  },
  {
    ids: ["PRI-01"],
    what: "MT-PRIORITY is a number from -9 to 9",
    on: "submission",
    from: "login",
    unless: priority,
    steps: [
      ...["C: MAIL FROM:<{sender}> MT-PRIORITY=10", "S: 501 …", "C: MAIL FROM:<{sender}> MT-PRIORITY=+1", "S: 501 …"],
      ...["C: MAIL FROM:<{sender}> MT-PRIORITY=01", "S: 501 …", "C: MAIL FROM:<{sender}> MT-PRIORITY=-9", "S: 250 …"],
    ],
  },
];
