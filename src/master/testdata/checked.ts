/** master/testdata/checked.ts: what `check` says of a configuration whose files are given as text. */
import { formatProblem } from "../../config/check.ts";
import { checkConfiguration } from "../check.ts";

/** By path, those of main.cf and master.cf in /c. One line for each problem; undefined is a file that is not there. */
export async function checked(files: Readonly<Record<string, string | undefined>>): Promise<readonly string[]> {
  const problems = await checkConfiguration({
    configDirectory: "/c",
    hostname: "mail.example.org",
    mailVersion: "0",
    readFile: async (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      return Buffer.from(text);
    },
  });
  return problems.map(formatProblem);
}
