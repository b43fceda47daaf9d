/** master/check-log.ts: whether the log can be written where it is to be, and whether the syslog server's certificates are
 *  some. A log that cannot be written stops no mail, so it is a warning. */
import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";

export function checkLog(params: Parameters, files: ConfigSnapshot["files"]): readonly Problem[] {
  return [...checkFile(params), ...checkPrefix(params), ...checkAuthorities(params, files)];
}

function checkFile(params: Parameters): readonly Problem[] {
  const path = params.get("maillog_file");
  if (path === "" || path.startsWith("/dev/")) return [];
  const why = whyUnwritable(path);
  if (why === undefined) return [];
  const hint = "log lines will be lost";
  return [{ severity: "warning", at: params.source("maillog_file"), text: `maillog_file: ${why}`, hint }];
}

/** undefined: it can be written, or be made. */
function whyUnwritable(path: string): string | undefined {
  const directory = dirname(path);
  const file = statSync(path, { throwIfNoEntry: false });
  if (file?.isDirectory()) return `${path} is a directory`;
  if (!file && !statSync(directory, { throwIfNoEntry: false })?.isDirectory())
    return `there is no directory ${directory}`;
  try {
    accessSync(file ? path : directory, constants.W_OK);
    return undefined;
  } catch (error) {
    return `${file ? path : directory} cannot be written: ${(error as NodeJS.ErrnoException).code}`;
  }
}

/** Only where the operator has said so: the default suits Postfix, which is often started by root alone. */
function checkPrefix(params: Parameters): readonly Problem[] {
  const path = params.get("maillog_file");
  const prefixes = params.get("maillog_file_prefixes");
  const at = params.source("maillog_file_prefixes");
  if (path === "" || at === undefined || prefixes.some((prefix) => isBelow(path, prefix))) return [];
  const text = `maillog_file_prefixes: ${path} begins with none of them`;
  return [{ severity: "warning", at, text, hint: "Postfix would not write this log; Postern does" }];
}

function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}

/** A file that cannot be read was reported with the line that names it. */
function checkAuthorities(params: Parameters, files: ConfigSnapshot["files"]): readonly Problem[] {
  const path = params.get("postern_syslog_tls_CAfile");
  const image = files.get(path);
  if (params.get("postern_syslog_server")?.transport !== "tls" || image === undefined || "error" in image) return [];
  if (Buffer.from(image.bytes).includes("-----BEGIN CERTIFICATE-----")) return [];
  const at = params.source("postern_syslog_tls_CAfile");
  return [{ severity: "error", at, text: `postern_syslog_tls_CAfile: ${path} holds no certificate` }];
}
