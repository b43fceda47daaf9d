/** pickup/user-list.ts: lists of users of this machine: authorized_submit_users and its like. A user is asked for by login name,
 *  as Postfix does; one that has none is "unknown". */
import { compileNameList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";

export interface UserList {
  /** Throws or rejects TableError. */
  allows(user: LocalUser): boolean | Promise<boolean>;
}

/** Mode of a file by which a user proves who he is: readable for the group that the maildrop directory gives to it. */
export const PROOF_MODE = 0o640;

/** A user of this machine. */
export interface LocalUser {
  readonly uid: number;
  /** Login name; undefined: none has that number. */
  readonly name: string | undefined;
}

export function compileUserList(items: readonly string[], opener: TableOpener): UserList {
  const list = compileNameList(items, { opener });
  return { allows: ({ name }) => list.matches(name ?? "unknown") };
}

/** `root(0)`, as in Postfix's messages. */
export function formatUser({ uid, name }: LocalUser): string {
  return `${name ?? "unknown"}(${uid})`;
}
