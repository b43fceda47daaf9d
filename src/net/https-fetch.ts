/** net/https-fetch.ts: one small file from a web server, and reports to one, over HTTPS to an address that the caller has
 *  looked up. Bounded in time and size; no redirect is followed, nothing is cached, no connection is kept. */
import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import type { Clock } from "../base/clock.ts";

export interface HttpsOptions {
  /** Name in the URL, in the handshake, and in the certificate (DNS-ID, RFC 6125; the common name does not count). */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  /** Begins with a slash. */
  readonly path: string;
  /** PEM of the CAs that are trusted. */
  readonly authorities: readonly string[];
  readonly clock: Pick<Clock, "after">;
  /** For all of it. */
  readonly timeoutMs: number;
  /** Most bytes of the answer's body. */
  readonly limitBytes: number;
  /** Sent with POST; undefined: GET. */
  readonly content?: { readonly type: string; readonly bytes: Uint8Array } | undefined;
}

export interface HttpsAnswer {
  readonly status: number;
  /** Lower case, without parameters: "text/plain". */
  readonly mediaType: string;
  readonly body: Buffer;
}

/** Why there is no answer. `kind` "certificate": the server is there, but not who it should be. */
export class HttpsError extends Error {
  override readonly name = "HttpsError";
  readonly kind: "certificate" | "other";

  constructor(kind: HttpsError["kind"], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/** Rejects HttpsError. */
export function fetchHttps(options: HttpsOptions): Promise<HttpsAnswer> {
  const { host, address, port, path, content, limitBytes } = options;
  return new Promise((resolve, reject) => {
    const sent = request({
      host: address,
      port,
      path,
      method: content ? "POST" : "GET",
      headers: {
        host: port === 443 ? host : `${host}:${port}`,
        ...(content && { "content-type": content.type, "content-length": content.bytes.length }),
      },
      servername: host,
      ca: [...options.authorities],
      minVersion: "TLSv1.2",
      agent: false,
      checkServerIdentity: (_name, certificate) => identityProblem(host, certificate.raw),
    });
    const fail = (error: HttpsError) => {
      timer.cancel();
      sent.destroy();
      reject(error);
    };
    const timer = options.clock.after(options.timeoutMs, () => fail(new HttpsError("other", "timed out")));
    sent.on("error", (error) => fail(problemOf(error)));
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > limitBytes) fail(new HttpsError("other", `answer larger than ${limitBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", (error) => fail(problemOf(error)));
      response.on("close", () => fail(new HttpsError("other", "connection lost"))); // nothing, behind "end"
      response.on("end", () => {
        timer.cancel();
        const [mediaType = ""] = (response.headers["content-type"] ?? "").toLowerCase().split(";");
        resolve({ status: response.statusCode ?? 0, mediaType: mediaType.trim(), body: Buffer.concat(chunks) });
      });
    });
    sent.end(content?.bytes);
  });
}

function identityProblem(host: string, der: Uint8Array): Error | undefined {
  if (new X509Certificate(der).checkHost(host, { subject: "never" }) !== undefined) return undefined;
  return Object.assign(new Error(`certificate is not for ${host}`), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
}

/** Codes of OpenSSL's verification have no common mark; those of the system begin with E, of Node with ERR_. */
function problemOf(error: Error & { code?: string }): HttpsError {
  const code = error.code ?? "";
  const system = /^(?:E[A-Z0-9]+$|ERR_|HPE_)/.test(code) && code !== "ERR_TLS_CERT_ALTNAME_INVALID";
  return new HttpsError(code === "" || system ? "other" : "certificate", error.message, { cause: error });
}
