/** master/accounts.ts: accounts and groups of this machine, from /etc/passwd and /etc/group. No name service switch. */
import { readFileSync } from "node:fs";

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
