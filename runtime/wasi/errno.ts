/** The error numbers of WASI preview 1 that the runtime itself returns. */
export const Errno = {
  Success: 0,
  /** Try again: no node has room for another thread. */
  Again: 6,
  Exists: 20,
  Fault: 21,
  Invalid: 28,
  /** Input or output has failed. */
  Io: 29,
  /** A link that is not to be followed. */
  Loop: 32,
  NoEntry: 44,
  /** It is no regular file: a read of it, or to open it, might take for ever. */
  NotSupported: 58,
  Pipe: 64,
  TimedOut: 73,
  /** It is outside of the folders that the program has. */
  NotCapable: 76,
} as const;
