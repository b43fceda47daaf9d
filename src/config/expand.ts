/** config/expand.ts: `$` expansion of main.cf values (postconf(5)): $name ${name} $(name) and the conditional forms. */

/** Expands all macros of `text`; `lookup` gives unexpanded values. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(?:(\w+)|\{(\w+)\}|\((\w+)\))/g, (_, a, b, c) => expand(lookup(a ?? b ?? c) ?? "", lookup));
}
