/** The library of the prototype, as TypeScript calls it. `native.zig` says what each call does. */

/** Nothing now. */
export const NONE = -1;
/** The connection has ended. */
export const ENDED = -2;

/** Bytes of a page. */
export const PAGE_BYTES = 4096;
/** Bytes of a header of `bench/floor/wire.zig`. */
export const HEADER_BYTES = 32;
/** The page behind the last; the program touches it to say that a round is over. */
export const END_PAGE = 65536;

const symbols = {
  native_open: { parameters: ["buffer"], result: "i32" },
  native_exit: { parameters: ["i32"], result: "void" },
  native_fill: { parameters: [], result: "i32" },
  native_clear: { parameters: [], result: "i32" },
  native_fault: { parameters: [], result: "i32" },
  native_install: { parameters: ["u32", "u32"], result: "i32" },
  native_wait: { parameters: ["i32"], result: "i32" },
  native_wait_room: { parameters: ["i32"], result: "i32" },
  /** As `native_wait`, on a thread of its own. */
  native_wait_aside: {
    name: "native_wait",
    parameters: ["i32"],
    result: "i32",
    nonblocking: true,
  },
  native_find: { parameters: ["u16", "u16"], result: "i32" },
  native_send: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  native_receive: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  native_send_pages: { parameters: ["i32", "u32", "u32", "u32"], result: "i32" },
  native_receive_pages: { parameters: ["i32", "u32", "u32", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The library's calls. */
export type Native = Deno.DynamicLibrary<typeof symbols>["symbols"];

/**
 * Opens the library.
 *
 * @param path Where it is.
 * @returns Its calls.
 */
export function openNative(path: string): Native {
  return Deno.dlopen(path, symbols).symbols;
}

/**
 * Passes on what a call answers.
 *
 * @param result That.
 * @returns The same, unless the call failed.
 * @throws {Error} If it failed; the library said why on stderr.
 */
export function checked(result: number): number {
  if (result < ENDED) throw new Error("A native call failed");
  return result;
}

/**
 * Finds the descriptor beneath a connection, which Deno does not tell.
 *
 * @param native The library.
 * @param connection The connection; Nagle's algorithm is off from here on.
 * @returns The descriptor, which does not block. It is the connection's: closing that ends it.
 */
export function findDescriptor(native: Native, connection: Deno.TcpConn): number {
  connection.setNoDelay(true);
  const { localAddr, remoteAddr } = connection;
  return checked(native.native_find(localAddr.port, remoteAddr.port));
}

/** How an engine waits during a round. */
export const Waiting = {
  /** In the kernel; over Deno's sockets, as a program of Deno does. */
  Asleep: 0,
  /** Turn by turn of the event loop, re-armed by `setImmediate`. */
  Turns: 1,
  /** In a loop that gives nothing else a turn. */
  Loop: 2,
  /**
   * Over Deno's sockets: in one `poll` of faults and socket, after which the event loop has a turn.
   */
  Poll: 3,
  /** Over own sockets: many looks in each turn of the event loop. */
  Looks: 4,
} as const;
/** One of {@linkcode Waiting}. */
export type Waiting = typeof Waiting[keyof typeof Waiting];

/** Kinds of headers, as in `bench/floor/wire.zig`. */
export const Kind = { Pages: 0, Wait: 2 } as const;

/** A header: a kind, a count, and a first page. */
export class Header {
  /** As it travels. */
  readonly bytes = new Uint8Array(HEADER_BYTES);
  readonly #words = new Uint32Array(this.bytes.buffer);

  /** What it is, one of {@linkcode Kind}. */
  get kind(): number {
    return this.#words[0]!;
  }

  /** How many pages, or how to wait. */
  get count(): number {
    return this.#words[1]!;
  }

  /** The first page. */
  get first(): number {
    return this.#words[2]!;
  }

  /** Makes it say this. */
  set(kind: number, count: number, first: number): this {
    this.#words[0] = kind;
    this.#words[1] = count;
    this.#words[2] = first;
    return this;
  }
}

/** A round, as the coordinator tells it. */
export interface Round {
  /** How both engines wait. */
  readonly waiting: Waiting;
  /** Pages a request. */
  readonly run: number;
  /** Pages that the program touches. */
  readonly count: number;
  /** From one to the next, in pages. */
  readonly stride: number;
  /** How long the program sleeps before each, in milliseconds. */
  readonly silenceMs: number;
}
