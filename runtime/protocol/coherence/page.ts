/**
 * The words that the protocol has for a page: its states, the ways to access it, and runs of pages.
 */

/** What a node may do with its copy of a page. */
export const PageState = {
  /** No copy: no window maps the page, every access faults. */
  Invalid: 0,
  /** A copy to read; a write faults. Other nodes may have one too. */
  Shared: 1,
  /** The only copy, to read and to write. */
  Exclusive: 2,
} as const;
/** One of {@linkcode PageState}. */
export type PageState = typeof PageState[keyof typeof PageState];

/** What an access, a request or a grant is for. */
export const Access = { Read: 1, Write: 2 } as const;
/** One of {@linkcode Access}. */
export type Access = typeof Access[keyof typeof Access];

/** Consecutive pages: `first`, `first + 1`, … `first + count - 1`; `count` is at least 1. */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** Whether two runs have a page in common. */
export function overlaps(a: PageRun, b: PageRun): boolean {
  return a.first < b.first + b.count && b.first < a.first + a.count;
}

/** Whether the run has the page. */
export function contains(run: PageRun, page: number): boolean {
  return page >= run.first && page < run.first + run.count;
}

/** Whether a copy in this state serves the access without a fault. */
export function permits(state: PageState, access: Access): boolean {
  return state === PageState.Exclusive || (state === PageState.Shared && access === Access.Read);
}
