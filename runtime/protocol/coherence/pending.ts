/** What a node knows of a request of its own, from the request until its `done`. */

import { Content, type GrantMessage, type NodeId } from "./messages.ts";
import { type Access, type PageRun, PageState } from "./page.ts";
import type { PageTable } from "./page_table.ts";

/** A request that was sent and is not done. */
export interface Pending extends PageRun {
  readonly request: number;
  readonly access: Access;
  /** Whether it was asked for ahead of a walk. */
  readonly ahead: boolean;
  grant: GrantMessage | undefined;
  /** Who sent the grant; 0 before there is one. */
  granter: NodeId;
  /** Who has acknowledged; may come before the grant that names them. */
  readonly acknowledged: NodeId[];
  /** The accesses here that wait for it, at most one a page. */
  readonly waiting: { readonly page: number; access: Access }[];
}

/**
 * Checks a grant.
 *
 * @param pending The request that it says it answers.
 * @param grant The grant.
 * @param states The {@linkcode PageState} of every page.
 * @returns Why it cannot answer the request, or `undefined` when it can.
 */
export function mismatchOf(
  pending: Pending,
  grant: GrantMessage,
  states: PageTable,
): string | undefined {
  if (grant.first !== pending.first || grant.count > pending.count || grant.count < 1) {
    return `grant of pages ${grant.first}+${grant.count}, ` +
      `asked for were ${pending.first}+${pending.count}`;
  }
  if (grant.content === Content.Lost) return undefined;
  if (grant.access < pending.access) return "grant of less than was asked for";
  const kept = grant.content === Content.Kept;
  for (let page = grant.first; page < grant.first + grant.count; page++) {
    if ((states.get(page) !== PageState.Invalid) !== kept) {
      return kept ? `no bytes for page ${page}` : `bytes for page ${page}, which is here`;
    }
  }
  return undefined;
}
