/** local/passwd.ts: home directories from the text of /etc/passwd (passwd(5)). No name service switch. */

/** Home directory by lower-case login; only absolute ones. */
export function parsePasswd(text: string): ReadonlyMap<string, string> {
  const homes = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [login = "", , , , , home = ""] = line.split(":");
    const key = login.toLowerCase();
    if (key !== "" && !/^[#+-]/.test(key) && home.startsWith("/") && !homes.has(key)) homes.set(key, home);
  }
  return homes;
}
