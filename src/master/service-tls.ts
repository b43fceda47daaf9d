/** master/service-tls.ts: the TLS context of one smtpd service from its parameters and the snapshot's file images. */
import { isAbsolute, join } from "node:path";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, FileImage, Problem, SourceRef } from "../config/snapshot.ts";
import { createServerTls, type FileBytes, type ServerTls } from "../net/tls-context.ts";
import { serverTlsInput } from "../smtpd/create.ts";

export interface ServiceTlsInput {
  readonly params: Parameters;
  readonly configDirectory: string;
  readonly image: (path: string) => FileImage | undefined;
  readonly ticketKeys?: Buffer | undefined;
}

/** The context, a problem in words, or undefined where the service speaks no TLS. */
export function serviceTls(input: ServiceTlsInput): ServerTls | { readonly problem: string } | undefined {
  const wanted = serverTlsInput(input.params, { ticketKeys: input.ticketKeys, read: (path) => readImage(input, path) });
  return wanted && createServerTls(wanted);
}

/** Problems of a service's TLS files, at the service's line. */
export function checkTls(params: Parameters, snapshot: ConfigSnapshot, at: SourceRef): readonly Problem[] {
  let unreadable = false;
  const image = (path: string) => {
    const found = snapshot.files.get(path);
    unreadable ||= found !== undefined && "error" in found;
    return found;
  };
  const made = serviceTls({ params, configDirectory: snapshot.configDirectory, image });
  // A file that cannot be read was reported with the line that names it.
  if (!made || !("problem" in made) || unreadable) return [];
  return [
    {
      severity: "error",
      at,
      text: `TLS: ${made.problem}`,
      hint: "set smtpd_tls_chain_files to a file with key and certificate",
    },
  ];
}

function readImage(input: ServiceTlsInput, path: string): FileBytes {
  const absolute = isAbsolute(path) ? path : join(input.configDirectory, path);
  const image = input.image(absolute);
  if (!image) return { error: `${absolute}: No such file or directory` };
  return "error" in image ? { error: `${absolute}: ${image.error}` } : image;
}
