/** master/service-tls.ts: the TLS context of one smtpd service from its parameters and the snapshot's file images. */
import { isAbsolute, join } from "node:path";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, FileImage, Problem, SourceRef } from "../config/snapshot.ts";
import { createServerTls, type FileBytes, type ServerTls } from "../net/tls-context.ts";

export interface ServiceTlsInput {
  readonly params: Parameters;
  readonly configDirectory: string;
  readonly image: (path: string) => FileImage | undefined;
  readonly ticketKeys?: Buffer | undefined;
}

/** The context, a problem in words, or undefined where the service speaks no TLS. */
export function serviceTls(input: ServiceTlsInput): ServerTls | { readonly problem: string } | undefined {
  const { params } = input;
  const wrapper = params.get("smtpd_tls_wrappermode");
  if (params.get("smtpd_tls_security_level") === "none" && !wrapper) return undefined;
  if (params.get("smtpd_tls_security_level") === "" && !wrapper && !params.get("smtpd_use_tls")) return undefined;
  const mandatory = wrapper || params.get("smtpd_tls_security_level") === "encrypt";
  return createServerTls({
    chainFiles: params.get("smtpd_tls_chain_files"),
    pairs: certificatePairs(params),
    protocols: params.get(mandatory ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols"),
    grade: params.get(mandatory ? "smtpd_tls_mandatory_ciphers" : "smtpd_tls_ciphers"),
    excludeCiphers: params.get("smtpd_tls_exclude_ciphers"),
    preferServerOrder: params.get("tls_preempt_cipherlist"),
    ticketKeys: input.ticketKeys,
    read: (path) => readImage(input, path),
  });
}

/** Problems of a service's TLS files, at the service's line. */
export function checkTls(params: Parameters, snapshot: ConfigSnapshot, at: SourceRef): readonly Problem[] {
  const made = serviceTls({
    params,
    configDirectory: snapshot.configDirectory,
    image: (path) => snapshot.files.get(path),
  });
  if (!made || !("problem" in made)) return [];
  return [
    {
      severity: "error",
      at,
      text: `TLS: ${made.problem}`,
      hint: "set smtpd_tls_chain_files to a file with key and certificate",
    },
  ];
}

function certificatePairs(params: Parameters): readonly { readonly certFile: string; readonly keyFile: string }[] {
  const pairs = [
    { certFile: params.get("smtpd_tls_cert_file"), keyFile: params.get("smtpd_tls_key_file") },
    { certFile: params.get("smtpd_tls_eccert_file"), keyFile: params.get("smtpd_tls_eckey_file") },
  ];
  return pairs.filter((pair) => pair.certFile !== "" && pair.certFile !== "none");
}

function readImage(input: ServiceTlsInput, path: string): FileBytes {
  const absolute = isAbsolute(path) ? path : join(input.configDirectory, path);
  const image = input.image(absolute);
  if (!image) return { error: `${absolute}: No such file or directory` };
  return "error" in image ? { error: `${absolute}: ${image.error}` } : image;
}
