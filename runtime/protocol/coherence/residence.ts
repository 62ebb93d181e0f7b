/**
 * What a node keeps of each page's bytes, and why: copies, bytes that are to come, and dead ones,
 * which this node may not read any more and has not given back yet. Together they count against the
 * limit of the node's memory.
 */

/** What there is of a page's bytes at a node. */
export const Residence = {
  /** Nothing. */
  None: 0,
  /** Nothing yet: the page was requested. */
  Expected: 1,
  /** Dead bytes; the page was requested again. */
  Replaced: 2,
  /**
   * A copy that other nodes have too, as far as this node knows, and that threads may have touched
   * since the hand came by.
   */
  Used: 3,
  /**
   * Such a copy that no window maps since the hand came by: accesses fault, and are served here.
   */
  Idle: 4,
  /** As `Used`, but the only copy. */
  UsedAlone: 5,
  /** As `Idle`, but the only copy. */
  IdleAlone: 6,
  /** Dead bytes that no node will ask for. */
  Spent: 7,
  /** Dead bytes that another node may ask for, while the write runs for which they were dropped. */
  Dead: 8,
  /** A copy that no window maps; the home was asked to forget it, others may ask for its bytes. */
  Dropping: 9,
  /** As `Dead`; the home was asked for its word that no node needs the bytes. */
  Forgone: 10,
} as const;
/** One of {@linkcode Residence}. */
export type Residence = typeof Residence[keyof typeof Residence];
