/** local/passwd.ts: users of this machine from the text of /etc/passwd (passwd(5)). No name service switch. */

export interface PasswdEntry {
  /** As written. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Absolute. */
  readonly home: string;
  readonly shell: string;
}

/** By lower-case login; only those with an absolute home directory. */
export function parsePasswd(text: string): ReadonlyMap<string, PasswdEntry> {
  const users = new Map<string, PasswdEntry>();
  for (const line of text.split("\n")) {
    const [name = "", , uid = "", gid = "", , home = "", shell = ""] = line.split(":");
    const key = name.toLowerCase();
    if (key === "" || /^[#+-]/.test(key) || !home.startsWith("/") || users.has(key)) continue;
    users.set(key, { name, uid: Number(uid), gid: Number(gid), home, shell });
  }
  return users;
}
