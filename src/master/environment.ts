/** master/environment.ts: the words of import_environment and export_environment: `NAME` takes the variable of the server,
 *  `NAME=value` sets one; `{ NAME = value with blanks }`. */

export type Variables = Readonly<Record<string, string | undefined>>;

/** The variables that `words` name. MAIL_CONFIG is the directory that is in use, whatever named it. */
export function chooseVariables(
  words: readonly string[],
  { own, configDirectory }: { readonly own: Variables; readonly configDirectory: string },
): Map<string, string> {
  const chosen = new Map<string, string>();
  for (const item of words) {
    const word = item.replace(/^\{\s*([\s\S]*?)\s*\}$/, "$1");
    const [, assigned, text] = /^([^=]+?)\s*=\s*([\s\S]*)$/.exec(word) ?? [];
    const name = assigned ?? word;
    const value = text ?? (name === "MAIL_CONFIG" ? configDirectory : own[name]);
    if (value !== undefined) chosen.set(name, value);
  }
  return chosen;
}
