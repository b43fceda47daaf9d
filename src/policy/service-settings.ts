/** policy/service-settings.ts: what follows check_policy_service: `inet:host:port`, `unix:path`, or
 *  `{ endpoint, name=value, { name = value with blanks } … }`, over the smtpd_policy_service_* parameters (postfix.md §4.3). */
import { isAbsolute, join } from "node:path";
import { ParameterError, splitList } from "../config/declare.ts";
import { parseInetService } from "../config/inet-name.ts";
import type { Parameters } from "../config/parameters.ts";
import { REGISTRY } from "../config/registry.ts";
import type { SocketTarget } from "../net/socket-client.ts";

/** One server and how to talk to it. */
export interface ServiceSettings {
  /** "inet:127.0.0.1:10023". */
  readonly name: string;
  /** The name without its type, as Postfix's warnings have it. */
  readonly endpoint: string;
  readonly target: SocketTarget;
  readonly timeoutMs: number;
  readonly maxIdleMs: number;
  readonly maxTtlMs: number;
  /** 0: no limit. */
  readonly requestLimit: number;
  readonly tryLimit: number;
  readonly retryDelayMs: number;
  readonly connectionLimit: number;
  /** Longest line of an answer. */
  readonly lineLimitBytes: number;
  /** Answers must be UTF-8. */
  readonly utf8: boolean;
  readonly defaultAction: string;
  readonly policyContext: string;
}

const PREFIX = "smtpd_policy_service_";

type NumberName = "timeout" | "max_idle" | "max_ttl" | "request_limit" | "try_limit" | "retry_delay";
type TextName = "default_action" | "policy_context";

const OVERRIDES: ReadonlySet<string> = new Set<NumberName | TextName>([
  "timeout",
  "max_idle",
  "max_ttl",
  "request_limit",
  "try_limit",
  "retry_delay",
  "default_action",
  "policy_context",
]);

/** Throws ParameterError for a bad endpoint, an unknown attribute or a bad value. */
export function parseServiceSettings(argument: string, params: Parameters): ServiceSettings {
  const { name, overrides } = splitArgument(argument);
  const numberOf = (short: NumberName): number => {
    const own = overrides.get(short);
    const full = `${PREFIX}${short}` as const;
    return own === undefined ? params.get(full) : REGISTRY[full].parse(own, `${argument}: ${short}`);
  };
  const textOf = (short: TextName): string => overrides.get(short) ?? params.get(`${PREFIX}${short}`);
  return {
    name,
    endpoint: name.slice(name.indexOf(":") + 1),
    target: targetOf(name, params),
    timeoutMs: numberOf("timeout"),
    maxIdleMs: numberOf("max_idle"),
    maxTtlMs: numberOf("max_ttl"),
    requestLimit: numberOf("request_limit"),
    tryLimit: numberOf("try_limit"),
    retryDelayMs: numberOf("retry_delay"),
    connectionLimit: params.get("smtpd_policy_service_connection_limit"),
    lineLimitBytes: params.get("line_length_limit"),
    utf8: /^yes$/i.test(params.text("smtputf8_enable")),
    defaultAction: textOf("default_action"),
    policyContext: textOf("policy_context"),
  };
}

function splitArgument(argument: string): { readonly name: string; readonly overrides: ReadonlyMap<string, string> } {
  if (!argument.startsWith("{")) return { name: argument, overrides: new Map() };
  if (!argument.endsWith("}"))
    throw new ParameterError(`policy service syntax error: text behind "}" in "${argument}"`);
  const [name, ...items] = splitList(argument.slice(1, -1), "check_policy_service");
  if (name === undefined) throw new ParameterError(`empty policy service: "${argument}"`);
  const overrides = new Map<string, string>();
  for (const item of items) {
    const [attribute, value] = splitOverride(item, argument);
    if (!OVERRIDES.has(attribute))
      throw new ParameterError(`unknown attribute "${attribute}" in policy service "${argument}"`);
    if (overrides.has(attribute))
      throw new ParameterError(`attribute "${attribute}" twice in policy service "${argument}"`);
    overrides.set(attribute, value);
  }
  return { name, overrides };
}

/** `name=value`, or `{ name = value with blanks }`. */
function splitOverride(item: string, argument: string): readonly [name: string, value: string] {
  const inner = item.startsWith("{") && item.endsWith("}") ? item.slice(1, -1).trim() : item;
  const found = /^([^\s=]+)\s*=\s*([\s\S]*)$/.exec(inner);
  if (!found) {
    throw new ParameterError(
      `missing "=" in attribute "${item}" of policy service "${argument}"; need name=value or { name = value }`,
    );
  }
  return [found[1] ?? "", found[2] ?? ""];
}

function targetOf(name: string, params: Parameters): SocketTarget {
  const [, type, endpoint = ""] = /^([^:]+):([\s\S]+)$/.exec(name) ?? [];
  if (type === undefined) {
    throw new ParameterError(`need service transport:endpoint instead of "${name}": inet:host:port or unix:path`);
  }
  if (type === "unix" || type === "local") {
    return { kind: "unix", path: isAbsolute(endpoint) ? endpoint : join(params.get("queue_directory"), endpoint) };
  }
  if (type !== "inet") throw new ParameterError(`invalid transport name: ${type} in service: ${name}`);
  const inet = parseInetService(endpoint, "");
  if (inet === undefined || inet.port === 0) {
    throw new ParameterError(`bad policy service address "${name}": need inet:host:port with a port number`);
  }
  return { kind: "tcp", host: inet.host ?? "localhost", port: inet.port };
}
