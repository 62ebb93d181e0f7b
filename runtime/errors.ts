/**
 * The one error class of the runtime: an operating error that a caller can tell apart by `code`.
 * Bugs of the runtime itself are assertions, not `TdsmError`s.
 */

import { printable } from "./printable.ts";

/**
 * What went wrong, as a stable word that a program may switch on. The list only grows.
 *
 * @example Go on where there is no directory yet
 * ```ts
 * import { join, TdsmError, type TdsmErrorCode } from "@tdsm/runtime";
 *
 * const tolerated: TdsmErrorCode[] = ["NoDirectory"];
 * try {
 *   await join({ directoryAddress: "127.0.0.1:9", joinTimeoutMs: 1 });
 * } catch (error) {
 *   if (!(error instanceof TdsmError) || !tolerated.includes(error.code)) throw error;
 * }
 * ```
 */
export type TdsmErrorCode =
  /** An option, flag or environment variable has a value that cannot be used. */
  | "InvalidOption"
  /** A Deno permission that the runtime needs was not granted. */
  | "PermissionMissing"
  /** `libtdsm.so` was found nowhere, or is not a library; or the checkout is not built at all. */
  | "LibraryNotFound"
  /** `libtdsm.so` was found, but is of another ABI version or layout. */
  | "LibraryMismatch"
  /** The kernel refuses userfaultfd to this user. */
  | "PrivilegeMissing"
  /** The kernel is too old, or was built without something that the runtime needs. */
  | "KernelUnsupported"
  /** Deno is older than the oldest that nodes run on, or lays shared buffers out otherwise. */
  | "DenoUnsupported"
  /** A system call failed in a way that has no code of its own; see `errno`. */
  | "SystemCallFailed"
  /** Nothing answers at the directory's address. */
  | "NoDirectory"
  /** The address to listen on is taken, or is not one of this machine. */
  | "ListenFailed"
  /** The other side speaks another protocol version. */
  | "VersionMismatch"
  /** The directory node has decided on another value of a setting than this node asks for. */
  | "RegionMismatch"
  /** The directory refused this node for another reason; the message has it. */
  | "JoinRefused"
  /** A key is needed, and this node has none. */
  | "KeyMissing"
  /** The other side has another key, or has none where this node has one. */
  | "KeyMismatch"
  /** Bytes arrived that are not of the protocol. */
  | "ProtocolViolation"
  /** Bytes arrived other than they were sent: something on the way, or memory, changes them. */
  | "FrameCorrupted"
  /** The directory node went away. */
  | "DirectoryLost"
  /** A node has failed, by its program or by `node.abort`, and the cluster ends with it. */
  | "NodeFailed"
  /** A node went away that an operation needed. */
  | "PeerLost"
  /** A page was only on a node that went away. */
  | "PageLost"
  /** A node that is alive for the directory cannot be reached from here. */
  | "PeerUnreachable"
  /** The node was closed while, or before, the operation ran. */
  | "NodeClosed"
  /** No memory is left for pages: not here, within the limit of this node, nor on another node. */
  | "MemoryExhausted"
  /** The region has no room for an allocation; the message says what is free. */
  | "OutOfMemory"
  /**
   * An allocation of this name is of another type, length or home, or a WebAssembly memory of it of
   * another size; or another library has the name.
   */
  | "NameConflict"
  /** What is to be freed is no allocation, or is free already. */
  | "NotAllocated"
  /** The operation took longer than it was allowed to. */
  | "TimedOut"
  /** A named bound of the runtime was reached; the message names it. */
  | "LimitExceeded"
  /** The engine's Worker ended by a fault of the runtime itself. */
  | "EngineFailed"
  /** A value was given that cannot be used; the message says which. */
  | "InvalidArgument"
  /** The program has no node, or has several where one is needed. */
  | "NotJoined"
  /** The program has a node already, and a Worker of it asked for one of its own. */
  | "AlreadyJoined"
  /** The called node has no procedure of that name. */
  | "UnknownProcedure"
  /** There is no node of that id. */
  | "PeerAbsent"
  /** The program's own signal ended the operation. */
  | "Aborted";

/**
 * What a {@linkcode TdsmError} carries beside its message.
 *
 * @example An error with the operation that failed
 * ```ts
 * import { TdsmError, type TdsmErrorInit } from "@tdsm/runtime";
 *
 * const init: TdsmErrorInit = { operation: "join", errno: 111 };
 * console.log(new TdsmError("NoDirectory", "Cannot join: nobody answers", init).errno);
 * ```
 */
export interface TdsmErrorInit {
  /** The operation that failed, in the terms of the caller: `join`, `open`, `install`. */
  operation?: string;
  /** The number that the kernel gave, where there is one. */
  errno?: number;
  /** The error that this one was made of. */
  cause?: unknown;
}

/**
 * An operating error of the runtime: something outside the program is not as it must be.
 *
 * @example Tell errors apart by code
 * ```ts
 * import { TdsmError } from "@tdsm/runtime";
 *
 * const error: unknown = new TdsmError("NoDirectory", "Cannot join: no directory at 10.0.0.1");
 * if (error instanceof TdsmError && error.code === "NoDirectory") console.error(error.message);
 * ```
 */
export class TdsmError extends Error {
  /** Always `"TdsmError"`. */
  override readonly name = "TdsmError";
  /** What went wrong, to switch on. */
  readonly code: TdsmErrorCode;
  /** The operation that failed, if it has a name of its own. */
  readonly operation: string | undefined;
  /** The kernel's error number, if the kernel gave one. */
  readonly errno: number | undefined;

  /**
   * Makes an error; where there is a cause, it is the error's `cause`.
   *
   * @param code What went wrong.
   * @param message What happened and what to do about it, without a full stop at its end.
   * @param init The operation, errno and cause, as far as there are any.
   */
  constructor(code: TdsmErrorCode, message: string, init: TdsmErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.operation = init.operation;
    this.errno = init.errno;
  }
}

/** How a process ends, for the program that started it. */
export const ExitCode = {
  /** An error of a program: of this node's, or of another's (`NodeFailed`). */
  Program: 1,
  /** A flag, a setting or a permission is not as it must be. */
  Usage: 2,
  /** The node could not start, or cannot go on. */
  Node: 70,
  /** To this the number of the signal is added that ended the process. */
  Signal: 128,
} as const;

/** The codes of errors by which a node cannot go on, rather than one call of its program. */
const NODE_CODES: ReadonlySet<TdsmErrorCode> = new Set<TdsmErrorCode>([
  "DirectoryLost",
  "EngineFailed",
  "FrameCorrupted",
  "MemoryExhausted",
  "PageLost",
  "PeerUnreachable",
  "ProtocolViolation",
  "SystemCallFailed",
]);

/** The codes of errors that are put right where the program is started. */
const USAGE_CODES: ReadonlySet<TdsmErrorCode> = new Set<TdsmErrorCode>([
  "InvalidOption",
  "KeyMissing",
  "PermissionMissing",
]);

/**
 * The exit code of a process whose node did not start.
 *
 * @param error Why.
 * @returns One of {@linkcode ExitCode}.
 */
export function exitCodeOfStart(error: unknown): number {
  if (!isTdsmError(error) || error.code === "NodeFailed") return ExitCode.Program;
  return USAGE_CODES.has(error.code) ? ExitCode.Usage : ExitCode.Node;
}

/**
 * The exit code of a process whose node had started.
 *
 * @param error What ended it.
 * @returns One of {@linkcode ExitCode}.
 */
export function exitCodeOf(error: unknown): number {
  return isTdsmError(error) && NODE_CODES.has(error.code) ? ExitCode.Node : ExitCode.Program;
}

/**
 * Whether something thrown is an error of the runtime; a proxy may refuse to be looked at.
 *
 * @param thrown Anything that a program has thrown.
 * @returns Whether.
 */
export function isTdsmError(thrown: unknown): thrown is TdsmError {
  try {
    return thrown instanceof TdsmError;
  } catch {
    return false;
  }
}

/**
 * An operating error in one line for people, whatever characters of other nodes are in it.
 *
 * @param error The error.
 * @returns The message and the code; of a fault of the runtime itself, with the stack behind it.
 */
export function errorText({ code, message }: Pick<TdsmError, "code" | "message">): string {
  return `${printable(message, code === "EngineFailed")} (${code})`;
}

/**
 * What whatever was thrown says, to be a part of another message.
 *
 * @param thrown An error, as a rule.
 * @returns Its message, or itself as text.
 */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
