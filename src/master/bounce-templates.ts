/** master/bounce-templates.ts: the report texts of a configuration, from the image of bounce_template_file. What is wrong in
 *  it is said by check and at each start and reload; reports then have the built-in text. */
import { posix } from "node:path";
import { loadTemplates } from "../bounce/load.ts";
import type { Templates } from "../bounce/template.ts";
import { scopeOf } from "../config/load.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";
import type { ConfigSnapshot, Problem } from "../config/snapshot.ts";
import { SnapshotFiles } from "./snapshot-files.ts";

export function bounceTemplates(
  params: Parameters,
  files: SnapshotFiles,
  configDirectory: string,
): { readonly templates: Templates; readonly problems: readonly Problem[] } {
  const name = params.get("bounce_template_file");
  const path = posix.isAbsolute(name) ? name : posix.join(configDirectory, name);
  // A file that cannot be read was reported with the line that names it.
  const image = name === "" ? undefined : files.image(path);
  const { templates, problems } = loadTemplates(params, image && "bytes" in image ? image.bytes : undefined);
  return {
    templates,
    problems: problems.map(({ line, text }) => ({ severity: "warning", at: { file: path, line }, text })),
  };
}

/** What check says about reports. A value that cannot be parsed is reported elsewhere. */
export function checkReports(snapshot: ConfigSnapshot): readonly Problem[] {
  try {
    const files = new SnapshotFiles(snapshot.files);
    const params = scopeOf(snapshot);
    return bounceTemplates(params, files, snapshot.configDirectory).problems;
  } catch (error) {
    if (error instanceof ParameterError) return [];
    throw error;
  }
}
