/** config/params/master.ts: parameters of the process tree and of a service as a whole. */
import { type Declaration, int, list, text, time, word } from "../declare.ts";

const workers = int("auto", { min: 0, max: 64 }, "", {});

/** A number of processes, or `auto`: as many as there are cores. */
const workersOrAuto: Declaration<number | "auto"> = {
  ...workers,
  doc: "Worker processes, 0 to 64; auto: as many as cores are available. 0 runs all in one process and is refused as root.",
  origin: "postern",
  restart: true,
  parse: (value, name) => (value.toLowerCase() === "auto" ? "auto" : workers.parse(value, name)),
};

export const MASTER_PARAMETERS = {
  postern_workers: workersOrAuto,
  postern_operators_group: text(
    "",
    "A group whose members may operate the running server (stop, reload, hold, delete …). Empty: only who started it, and root.",
    { origin: "postern", restart: true },
  ),
  command_time_limit: time(
    "1000s",
    "s",
    { min: 1000 },
    "How long a command of a spawn or pipe service of master.cf may run; then it is killed. SERVICE_time_limit overrides it.",
  ),
  import_environment: list(
    "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
    "Environment variables of the server that environ: tables see; name=value sets one.",
  ),
  export_environment: list(
    "TZ MAIL_CONFIG LANG",
    "Environment variables of the server that commands of spawn and pipe services get; name=value sets one.",
  ),
  postern_service_role: word(
    "",
    ["", "submission", "mx"],
    "What an smtpd service is for. Empty: submission where SASL is on and strangers end in reject, else mx.",
    { origin: "postern" },
  ),
} satisfies Record<string, Declaration<unknown>>;
