/** bounce/load.ts: the report texts of a configuration: bounce_template_file over the built-in ones. A template that is
 *  wrong keeps its built-in text, so that reports are always made. */
import { ParameterError, type Parameters } from "../config/parameters.ts";
import { BUILT_IN_TEMPLATES } from "./built-in.ts";
import {
  expandTemplate,
  parseTemplateFile,
  type TemplateName,
  type TemplateProblem,
  type Templates,
} from "./template.ts";

/** `bytes`: the file's; undefined: there is none. Never throws. */
export function loadTemplates(
  params: Parameters,
  bytes: Uint8Array | undefined,
): { readonly templates: Templates; readonly problems: readonly TemplateProblem[] } {
  if (bytes === undefined) return { templates: BUILT_IN_TEMPLATES, problems: [] };
  const parsed = parseTemplateFile(bytes, BUILT_IN_TEMPLATES);
  const templates: Record<TemplateName, Templates[TemplateName]> = { ...parsed.templates };
  const problems = [...parsed.problems];
  for (const name of Object.keys(templates) as TemplateName[]) {
    try {
      expandTemplate(templates[name], params);
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      templates[name] = BUILT_IN_TEMPLATES[name];
      problems.push({ line: 1, text: `${name}_template: ${error.message} -- ignoring this template` });
    }
  }
  return { templates, problems };
}
