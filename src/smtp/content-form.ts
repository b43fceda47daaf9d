/** smtp/content-form.ts: in which form a session gets the content of a message: as it is by DATA, by BDAT where it is binary and the
 *  server takes that (RFC 3030), or converted to what the server takes (RFC 6152 §3, RFC 3030 §3). */
import { whyInconvertible } from "../cleanup/convertible.ts";
import { type BodyLimits, reencoded } from "../cleanup/reencode.ts";
import type { MessageContent } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";

type Features = ReadonlyMap<string, string>;

export interface ContentForm {
  readonly command: "DATA" | "BDAT";
  readonly content: MessageContent;
  /** ` BODY=…` of MAIL. */
  readonly body: string;
  /** For SIZE=: what is sent, or about that. */
  readonly sizeBytes: number;
  /** Of binary content. */
  readonly conversion?: "7bit" | "8bit" | undefined;
}

/** base64 with its line ends. */
const GROWTH = 1.4;

/** `limits`: how content is read that must be converted; undefined: nothing is converted. `changed` is told when something was. */
export function contentForm(
  content: MessageContent,
  { body }: Pick<Envelope, "body">,
  {
    features,
    limits,
    changed,
  }: { readonly features: Features; readonly limits: BodyLimits | undefined; readonly changed?: () => void },
): ContentForm {
  const eightBit = features.has("8BITMIME");
  const { sizeBytes } = content;
  if (body !== "BINARYMIME") {
    const how = { accepts: "7bit", binary: "quoted-printable" } as const;
    const sent = eightBit || !limits ? content : reencoded(content, { limits, changed, ...how });
    return { command: "DATA", content: sent, body: eightBit ? ` BODY=${body}` : "", sizeBytes };
  }
  if (takesBinary(features)) return { command: "BDAT", content, body: " BODY=BINARYMIME", sizeBytes };
  const conversion = eightBit ? "8bit" : "7bit";
  return {
    command: "DATA",
    content: limits ? reencoded(content, { limits, changed, accepts: conversion, binary: "base64" }) : content,
    body: eightBit ? " BODY=8BITMIME" : "",
    sizeBytes: Math.ceil(sizeBytes * GROWTH),
    conversion,
  };
}

function takesBinary(features: Features): boolean {
  return features.has("BINARYMIME") && features.has("CHUNKING");
}

/** Why binary content cannot be had by a server that does not take it as it is. Reads `content`, which is what was queued. */
export async function unfitContent(
  { conversion }: ContentForm,
  content: MessageContent,
  { host, limits }: { readonly host: string; readonly limits: BodyLimits | undefined },
): Promise<Verdict | undefined> {
  if (conversion === undefined) return undefined;
  const why = limits
    ? await whyInconvertible(content, { limits, accepts: conversion })
    : "disable_mime_output_conversion is set";
  if (why === undefined) return undefined;
  return ownVerdict("5.6.3", `BINARYMIME is not offered by host ${host}, and the message cannot be converted: ${why}`);
}
