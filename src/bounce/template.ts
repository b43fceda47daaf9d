/** bounce/template.ts: the texts of reports in the format of bounce(5): a file of `name = <<WORD` … `WORD` blocks, each a
 *  few headers and a text with $parameters. Parsing and expansion only; the built-in texts are built-in.ts. */
import { domainToUnicode } from "node:url";
import { expand } from "../config/expand.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";

export type TemplateName = "failure" | "delay" | "success" | "verify";

export interface Template {
  /** MIME name, lower case. */
  readonly charset: string;
  /** Value of From, perhaps with an address without domain. */
  readonly from: string;
  readonly subject: string;
  /** Of copies for the postmaster; undefined where there are none. */
  readonly postmasterSubject: string | undefined;
  /** Unexpanded lines; never sent to a postmaster. */
  readonly text: readonly string[];
}

export type Templates = Readonly<Record<TemplateName, Template>>;

/** Something wrong in a template file; the template keeps its default. Lines count from 1. */
export interface TemplateProblem {
  readonly line: number;
  readonly text: string;
}

const BLOCK = /^([A-Za-z_]\w*)\s*=\s*<<\s*(\w+)\s*$/;
const HEADER = /^([A-Za-z][\w-]*)[ \t]*:[ \t]*(.*?)[ \t]*$/;
const NON_ASCII = /[^\x00-\x7f]/;
const UNPRINTABLE = /[^\t\x20-\x7e]/;

/** The templates of a file over `defaults`. `bytes` may be in any character set that has ASCII in it. */
export function parseTemplateFile(
  bytes: Uint8Array,
  defaults: Templates,
): { readonly templates: Templates; readonly problems: readonly TemplateProblem[] } {
  const lines = Buffer.from(bytes).toString("latin1").split(/\r?\n/);
  const templates: Record<TemplateName, Template> = { ...defaults };
  const problems: TemplateProblem[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, label = "", word] = BLOCK.exec(line) ?? [];
    if (word === undefined) {
      problems.push({ line: i + 1, text: "template definition expected: name_template = <<EOF" });
      continue;
    }
    const end = lines.indexOf(word, i + 1);
    if (end < 0) return { templates, problems: [...problems, { line: i + 1, text: `missing "${word}" marker` }] };
    const name = nameOf(label);
    const parsed = name ? parseBlock(lines.slice(i + 1, end), defaults[name]) : `unknown template "${label}"`;
    if (typeof parsed === "string") problems.push({ line: i + 1, text: `${parsed} -- ignoring this template` });
    else if (name) templates[name] = parsed;
    i = end;
  }
  return { templates, problems };
}

function nameOf(label: string): TemplateName | undefined {
  const name = /^(failure|delay|success|verify)_template$/.exec(label)?.[1];
  return name as TemplateName | undefined;
}

/** A template, or what is wrong with it. */
function parseBlock(lines: readonly string[], base: Template): Template | string {
  let template = base;
  let at = 0;
  for (; at < lines.length; at++) {
    const [, label, value = ""] = HEADER.exec(lines[at] ?? "") ?? [];
    if (label === undefined) break;
    const next = withHeader(template, label, value);
    if (typeof next === "string") return next;
    template = next;
  }
  while (at < lines.length && lines[at]?.trim() === "") at++;
  const text = lines.slice(at);
  if (text.length === 0) return "missing message text";
  if (template.charset === "us-ascii" && text.some((line) => NON_ASCII.test(line))) {
    return "8-bit message text: a Charset other than us-ascii is needed";
  }
  return { ...template, text: isUtf8(template) ? text.map(asUtf8) : text };
}

function withHeader(template: Template, label: string, value: string): Template | string {
  if (value === "") return `empty "${label}" header value`;
  if (UNPRINTABLE.test(value)) return `non-ASCII "${label}" header value`;
  switch (label.toLowerCase()) {
    case "charset":
      return /^[\w.:-]+$/.test(value) ? { ...template, charset: value.toLowerCase() } : `bad "${label}" header value`;
    case "from":
      return { ...template, from: value };
    case "subject":
      return { ...template, subject: value };
    case "postmaster-subject":
      if (template.postmasterSubject === undefined) return `inapplicable "${label}" header label`;
      return { ...template, postmasterSubject: value };
    default:
      return `unknown "${label}" header label`;
  }
}

/** Whether the text is Unicode; otherwise its characters stand for bytes. */
export function isUtf8(template: Template): boolean {
  return template.charset === "utf-8" || template.charset === "utf8";
}

function asUtf8(line: string): string {
  return Buffer.from(line, "latin1").toString("utf8");
}

const UNITS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400, weeks: 604_800 } as const;
const TIMES = /^(delay_warning_time|maximal_queue_lifetime)_(.*)$/;

/** The text with its $parameters filled in, one line each. Throws ParameterError: bad syntax or an unknown name. */
export function expandTemplate(template: Template, params: Parameters): readonly string[] {
  return template.text.map((line) => expand(line, (name) => lookup(name, template, params)).replace(/[\r\n]+/g, " "));
}

function lookup(name: string, template: Template, params: Parameters): string {
  const [, time, unit = ""] = TIMES.exec(name) ?? [];
  if (time === "delay_warning_time" || time === "maximal_queue_lifetime") {
    if (!Object.hasOwn(UNITS, unit)) throw new ParameterError(`unrecognized suffix "${unit}" in parameter "${name}"`);
    return String(Math.floor(params.get(time) / 1000 / UNITS[unit as keyof typeof UNITS]));
  }
  const value = params.unexpanded(name);
  if (value === undefined) throw new ParameterError(`undefined $name in template: ${name}`);
  const host = name === "myhostname" || name === "mydomain";
  if (!host || !isUtf8(template) || !params.get("smtputf8_enable")) return value;
  return domainToUnicode(params.text(name)) || value;
}
