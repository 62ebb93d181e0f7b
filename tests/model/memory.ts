/**
 * How page operations and writes change the memory of a model.
 */

import type { PageOperation } from "../../runtime/protocol/coherence/output.ts";
import { contains, PageState } from "../../runtime/protocol/coherence/page.ts";
import { type FrameState, replaced } from "./state.ts";

/**
 * @param frame A message on its way.
 * @param page A page that is written now.
 * @returns The message, whose bytes of that page are old from now on.
 */
export function outdated(frame: FrameState, page: number): FrameState {
  const { message, fresh } = frame;
  if (fresh.length === 0 || message.kind !== "grant" || !contains(message, page)) return frame;
  return { message, fresh: replaced(fresh, page - message.first, false) };
}

/**
 * @param before What a page table allows with a page.
 * @param operation What is done to the page.
 * @returns What it allows then.
 */
export function mappedAfter(before: number, operation: PageOperation): number {
  switch (operation.kind) {
    case "install":
      return operation.writable ? PageState.Exclusive : PageState.Shared;
    case "installZero":
      return PageState.Exclusive;
    case "unprotect":
      return before === PageState.Shared ? PageState.Exclusive : before;
    case "protect":
      return before === PageState.Exclusive ? PageState.Shared : before;
    case "evict":
      return PageState.Invalid;
    case "discard":
      return before;
    default:
      return operation satisfies never;
  }
}
