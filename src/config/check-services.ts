/** config/check-services.ts: master.cf lines that cannot run here, or run otherwise than written. */
import { parseInetService } from "./inet-name.ts";
import { OF_CLEANUP_SERVICE } from "./scope.ts";
import { servicesText } from "./services-file.ts";
import type { Assignment, ConfigSnapshot, Problem, ServiceEntry } from "./snapshot.ts";

/** Programs that have a counterpart here. */
const COMMANDS = new Set([
  "smtpd",
  "postscreen",
  "smtp",
  "lmtp",
  "local",
  "virtual",
  "pipe",
  "error",
  "discard",
  "spawn",
]);

/** Postfix programs whose work is done inside Postern: their lines may stand and mean nothing. */
const INTERNAL = new Set(
  `anvil bounce cleanup dnsblog flush oqmgr nqmgr pickup postlogd proxymap qmgr scache showq tlsmgr tlsproxy
   trivial-rewrite verify`.split(/\s+/),
);

/** Postfix programs that do something Postern does not do. */
const MISSING = new Set(["qmqpd"]);

/** Whether a line with this command means nothing here. */
export function isInternalCommand(command: string): boolean {
  return INTERNAL.has(command);
}

export function checkServices(snapshot: ConfigSnapshot): Problem[] {
  const ports = servicesText(snapshot);
  const problems = snapshot.services.flatMap((service) => checkService(service, ports));
  problems.push(...checkCleanup(snapshot));
  const jailed = snapshot.services.filter(({ chroot }) => chroot);
  if (jailed[0]) {
    const text = `chroot = y has no effect here (${jailed.length} ${jailed.length === 1 ? "service" : "services"})`;
    problems.push({ severity: "warning", at: jailed[0].at, text, hint: "workers run as $mail_owner instead" });
  }
  return problems;
}

/** Options of cleanup services that nobody asks for, and services that name none. */
function checkCleanup(snapshot: ConfigSnapshot): readonly Problem[] {
  const cleanups = snapshot.services.filter(({ command }) => command === "cleanup");
  const lost = cleanups.flatMap(({ overrides }) => overrides).filter(({ name }) => !OF_CLEANUP_SERVICE.has(name));
  const named = [snapshot.mainCf, ...snapshot.services.map(({ overrides }) => overrides)]
    .flatMap((assignments) => assignments.filter(({ name }) => name === "cleanup_service_name"))
    .filter(({ value }) => value !== "cleanup" && !/\$/.test(value) && !cleanups.some(({ name }) => name === value));
  const warn = ({ at }: Assignment, text: string, hint: string): Problem => ({ severity: "warning", at, text, hint });
  return [
    ...lost
      .filter(({ name }) => name !== "syslog_name")
      .map((option) =>
        warn(
          option,
          `${option.name} of a cleanup service has no effect here`,
          "set it in main.cf, or receive_override_options of the smtpd service",
        ),
      ),
    ...named.map((setting) =>
      warn(
        setting,
        `cleanup_service_name: master.cf has no cleanup service "${setting.value}"`,
        "main.cf alone decides what is done to its mail",
      ),
    ),
  ];
}

function checkService(service: ServiceEntry, ports: string): Problem[] {
  const { name, type, command, at } = service;
  const problems: Problem[] = [];
  const say = (severity: Problem["severity"], text: string, hint?: string) =>
    problems.push({ severity, at, text, hint });
  if (MISSING.has(command)) say("warning", `${command} does not exist here: service "${name}" is left out`);
  else if (!COMMANDS.has(command) && !INTERNAL.has(command)) say("error", `unknown command "${command}"`);
  if (type === "inet" && !parseInetService(name, ports)) {
    say("error", `unknown service: ${name}/tcp`, "use a port number, or a name that /etc/services lists");
  }
  if (command === "postscreen") {
    say("warning", "postscreen does not exist here: a plain smtpd takes this port", "write smtpd in its place");
  }
  if (command === "smtpd" && type !== "inet") {
    const text = `smtpd listens on inet services only: service "${name}" of type ${type} is left out`;
    const lost = service.overrides.length > 0 ? ": write its -o options there" : "";
    say("warning", text, type === "pass" ? `the postscreen line gives the smtpd${lost}` : undefined);
  }
  if (COMMANDS.has(command) && service.args.some((arg) => /^-v+$/.test(arg))) {
    say("warning", `-v has no effect here: service "${name}"`, "name its clients or servers in debug_peer_list");
  }
  const takesArguments = command === "pipe" || command === "spawn" || MISSING.has(command) || INTERNAL.has(command);
  const stray = takesArguments ? undefined : service.args.find((arg) => !arg.startsWith("-"));
  if (stray !== undefined) say("error", `unexpected command-line argument: ${stray}`);
  return problems;
}
