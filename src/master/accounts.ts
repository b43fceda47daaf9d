/** master/accounts.ts: accounts and groups of this machine, from /etc/passwd and /etc/group. No name service switch. */
import { readFileSync } from "node:fs";
import type { LocalUser } from "../pickup/user-list.ts";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

export function readAccountFiles(): AccountFiles {
  return { passwd: readFileSync("/etc/passwd", "latin1"), group: readFileSync("/etc/group", "latin1") };
}

export function accountNamed({ passwd }: Pick<AccountFiles, "passwd">, name: string): Account | undefined {
  const [, , uid, gid] = lineOf(passwd, name) ?? [];
  return isId(uid) && isId(gid) ? { name, uid: Number(uid), gid: Number(gid) } : undefined;
}

/** Who has this number; of several names the first. The full name is what stands in front of the first comma. */
export function userWith({ passwd }: Pick<AccountFiles, "passwd">, uid: number): LocalUser & { fullName?: string } {
  const line = passwd.split("\n").find((text) => text.split(":")[2] === String(uid));
  const [name, , , , comment = ""] = line?.split(":") ?? [];
  if (name === undefined) return { uid, name };
  // `&` stands for the login name (passwd(5) of BSD).
  const capital = name.charAt(0).toUpperCase() + name.slice(1);
  const fullName = Buffer.from(comment.replace(/,.*/s, "").replaceAll("&", capital), "latin1").toString("utf8");
  return { uid, name, fullName };
}

/** The number of a group. */
export function groupNamed({ group }: Pick<AccountFiles, "group">, name: string): number | undefined {
  const [, , gid] = lineOf(group, name) ?? [];
  return isId(gid) ? Number(gid) : undefined;
}

function lineOf(text: string, name: string): readonly string[] | undefined {
  if (name === "") return undefined;
  return text
    .split("\n")
    .find((line) => line.startsWith(`${name}:`))
    ?.split(":");
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,10}$/.test(text);
}
