/** cli/postconf-templates.ts: `postconf -b` and `-t`: the texts of delivery reports, expanded or as they are written
 *  (bounce(5)). Problems of the template file go to stderr; what is printed is what reports would have. */
import { posix } from "node:path";
import { loadTemplates } from "../bounce/load.ts";
import { expandTemplate, isUtf8, type Template, type TemplateName } from "../bounce/template.ts";
import type { Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type PostconfOptions, PostconfUsageError } from "./postconf-options.ts";

export interface TemplateIo {
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const ORDER: readonly TemplateName[] = ["failure", "delay", "success", "verify"];

/** The file is the argument, else $bounce_template_file. Rejects PostconfUsageError if it cannot be read. */
export async function printTemplates(
  { snapshot, params }: { readonly snapshot: ConfigSnapshot; readonly params: Parameters },
  options: PostconfOptions,
  io: TemplateIo,
): Promise<void> {
  const [argument] = options.names;
  const named = params.get("bounce_template_file");
  const path = argument ?? (named === "" ? undefined : posix.resolve(snapshot.configDirectory, named));
  const bytes = path === undefined ? undefined : await readTemplate(path, io);
  const { templates, problems } = loadTemplates(params, bytes);
  for (const { line, text } of problems) io.stderr(`postconf: warning: ${path}, line ${line}: ${text}\n`);
  for (const name of ORDER) {
    const template = templates[name];
    const lines =
      options.mode === "expandedTemplates"
        ? [`expanded_${name}_text = <<EOF`, ...expandTemplate(template, params)]
        : [`${name}_template = <<EOF`, ...headersOf(template), "", ...template.text];
    io.stdout(`${[...lines, "EOF", ""].map((line) => shown(line, template)).join("\n")}\n`);
  }
}

async function readTemplate(path: string, io: TemplateIo): Promise<Uint8Array> {
  try {
    return await io.readFile(path);
  } catch (error) {
    throw new PostconfUsageError(`open ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function headersOf({ charset, from, subject, postmasterSubject }: Template): readonly string[] {
  const copy = postmasterSubject === undefined ? [] : [`Postmaster-Subject: ${postmasterSubject}`];
  return [`Charset: ${charset}`, `From: ${from}`, `Subject: ${subject}`, ...copy];
}

/** Output is UTF-8; text in another character set is shown with ? for what is not ASCII. */
function shown(line: string, template: Template): string {
  return isUtf8(template) ? line : line.replace(/[^\t\x20-\x7e]/g, "?");
}
