/** milter/settings.ts: smtpd_milters and non_smtpd_milters: `inet:host:port`, `unix:path`, or `{ endpoint, name=value … }`, over the
 *  milter_* parameters (MILTER_README). */
import { isAbsolute, join } from "node:path";
import { ParameterError, splitList } from "../config/declare.ts";
import { parseInetService } from "../config/inet-name.ts";
import type { Parameters } from "../config/parameters.ts";
import { REGISTRY } from "../config/registry.ts";
import type { SocketTarget } from "../net/socket-client.ts";
import type { ProtocolVersion } from "./protocol.ts";

export type DefaultAction = "accept" | "reject" | "tempfail" | "quarantine" | "shutdown";

export interface MilterSettings {
  /** "inet:127.0.0.1:8891". */
  readonly name: string;
  readonly target: SocketTarget;
  readonly connectMs: number;
  readonly commandMs: number;
  readonly contentMs: number;
  readonly defaultAction: DefaultAction;
  readonly version: ProtocolVersion;
  /** The filter says nothing to header fields, though its version cannot tell so. */
  readonly noHeaderReply: boolean;
}

const OVERRIDES = {
  connect_timeout: "milter_connect_timeout",
  command_timeout: "milter_command_timeout",
  content_timeout: "milter_content_timeout",
  default_action: "milter_default_action",
  protocol: "milter_protocol",
} as const;

/** Throws ParameterError for a bad endpoint, an unknown attribute or a bad value. */
export function parseMilters(words: readonly string[], params: Parameters): readonly MilterSettings[] {
  return words.map((word) => parseMilter(word, params));
}

function parseMilter(word: string, params: Parameters): MilterSettings {
  const [name, own] = splitWord(word);
  const value = <N extends (typeof OVERRIDES)[keyof typeof OVERRIDES]>(parameter: N) => {
    const text = own.get(parameter);
    return text === undefined ? params.get(parameter) : REGISTRY[parameter].parse(text, `${word}: ${parameter}`);
  };
  const protocol = parseProtocol(String(value("milter_protocol")));
  if (!protocol)
    throw new ParameterError(`${word}: bad milter_protocol: want 2, 3, 4 or 6, and perhaps no_header_reply`);
  return {
    ...protocol,
    name,
    target: targetOf(name, params),
    connectMs: Number(value("milter_connect_timeout")),
    commandMs: Number(value("milter_command_timeout")),
    contentMs: Number(value("milter_content_timeout")),
    defaultAction: value("milter_default_action") as DefaultAction,
  };
}

function parseProtocol(text: string): Pick<MilterSettings, "version" | "noHeaderReply"> | undefined {
  const words = text.split(/[\s,]+/).filter(Boolean);
  const versions = words.filter((word) => word !== "no_header_reply");
  const version = ([2, 3, 4, 6] as const).find((known) => String(known) === versions[0]);
  if (version === undefined || versions.length > 1) return undefined;
  return { version, noHeaderReply: words.length > versions.length };
}

function splitWord(word: string): readonly [string, ReadonlyMap<string, string>] {
  if (!word.startsWith("{")) return [word, new Map()];
  if (!word.endsWith("}")) throw new ParameterError(`milter service syntax error: text behind "}" in "${word}"`);
  const [name, ...items] = splitList(word.slice(1, -1), "smtpd_milters");
  if (name === undefined) throw new ParameterError(`empty milter service: "${word}"`);
  const own = new Map<string, string>();
  for (const item of items) {
    const m = /^\{?\s*(\w+)\s*=\s*(.*?)\s*\}?$/.exec(item);
    const attribute = m?.[1] ?? item;
    if (!m || !Object.hasOwn(OVERRIDES, attribute)) {
      throw new ParameterError(`unknown attribute "${attribute}" in milter service "${word}"`);
    }
    own.set(OVERRIDES[attribute as keyof typeof OVERRIDES], m[2] ?? "");
  }
  return [name, own];
}

function targetOf(name: string, params: Parameters): SocketTarget {
  const m = /^(unix|local|inet):(.+)$/.exec(name);
  const [, type, rest = ""] = m ?? [];
  if (type === "inet") {
    const service = parseInetService(rest, "");
    if (!service) throw new ParameterError(`${name}: no host:port`);
    return { kind: "tcp", host: service.host ?? "localhost", port: service.port };
  }
  if (type === undefined) throw new ParameterError(`${name}: want inet:host:port or unix:path`);
  return { kind: "unix", path: isAbsolute(rest) ? rest : join(params.text("queue_directory"), rest) };
}
