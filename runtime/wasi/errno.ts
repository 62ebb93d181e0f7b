/** The error numbers of WASI preview 1 that the runtime itself returns. */
export const Errno = {
  Success: 0,
  /** Try again: no node has room for another thread. */
  Again: 6,
  Fault: 21,
  Invalid: 28,
  /** Input or output has failed. */
  Io: 29,
  Pipe: 64,
} as const;
