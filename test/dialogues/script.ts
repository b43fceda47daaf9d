/** test/dialogues/script.ts: reads dialogue files. `## title` begins a dialogue, `= name = value` is a setting of it, `C: text`
 *  and other marks in front of a colon are its steps; other lines that begin with # are comments. */

export interface Step {
  readonly kind: string;
  readonly text: string;
  /** In the file, counted from 1. */
  readonly line: number;
}

export interface Script {
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

/** Throws at a line that is neither a step with one of these marks nor a setting. */
export function parseScripts(text: string, marks: readonly string[]): Script[] {
  const scripts: { name: string; settings: Record<string, string>; steps: Step[] }[] = [];
  const stepLine = new RegExp(`^(${marks.join("|")}):(?: (.*))?$`);
  for (const [i, line] of text.split("\n").entries()) {
    const begin = /^## (.*)$/.exec(line);
    if (begin?.[1]) scripts.push({ name: begin[1], settings: {}, steps: [] });
    if (line.startsWith("#") || line.trim() === "") continue;
    const current = scripts.at(-1);
    const setting = /^= (\w+) = (.*)$/.exec(line);
    const step = stepLine.exec(line);
    if (current && setting) current.settings[setting[1] ?? ""] = setting[2] ?? "";
    else if (current && step) current.steps.push({ kind: step[1] ?? "", text: step[2] ?? "", line: i + 1 });
    else throw new Error(`line ${i + 1}: neither a step nor a setting: ${line}`);
  }
  return scripts;
}

/** `…` in a pattern stands for anything. */
export function matches(pattern: string, text: string, whole: boolean): boolean {
  const source = pattern
    .split("…")
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"))
    .join(".*");
  return new RegExp(whole ? `^${source}$` : source, "s").test(text);
}
