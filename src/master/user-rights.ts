/** master/user-rights.ts: who of this machine's users may list and flush the queue; asked by the master, answered by a worker,
 *  which has the tables open. */
import type { Parameters } from "../config/parameters.ts";
import { compileUserList, type UserList } from "../pickup/user-list.ts";
import type { TableOpener } from "../tables/table.ts";
import type { UserRight } from "./client-door.ts";

export type UserRights = Readonly<Record<UserRight, UserList>>;

export function createUserRights(params: Parameters, tables: TableOpener): UserRights {
  return {
    authorized_mailq_users: compileUserList(params.get("authorized_mailq_users"), tables),
    authorized_flush_users: compileUserList(params.get("authorized_flush_users"), tables),
  };
}

/** Postfix's default: nobody need be asked. */
export function isEverybody(items: readonly string[]): boolean {
  return items.length === 1 && /^static:./.test(items[0] ?? "");
}
