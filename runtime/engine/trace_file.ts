/**
 * Writes a node's trace to a file: what the recorder has, as soon as there is some, and at each
 * beat. One write is under way at a time, on a thread of Deno's; meanwhile the recorder keeps what
 * comes, within its bound.
 */

import { reasonOf, TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import { TRACE_FILE_MAX_BYTES, TRACE_WRITE_EVENTS } from "../limits.ts";
import { TRACE_BEGIN, TRACE_END } from "../observe/trace_events.ts";
import { TraceRecorder } from "../observe/trace_recorder.ts";
import { formatSize } from "../size.ts";

const OPERATION = "write a trace";
const encoder = new TextEncoder();

/** What a trace file needs of its node. */
export interface TraceFileOptions {
  /** The node. */
  readonly node: number;
  /** Its name in the trace. */
  readonly name: string;
  /** Where the trace goes; the node's id is put into the name. */
  readonly path: string;
  /** By what another path is given, as ` with --trace`; nothing where a call has named this one. */
  readonly by: string;
  /** The trace has ended before the node has: why, and what that means. */
  ended(reason: string): void;
}

/**
 * The file of a node's trace: `trace.json` is `trace.2.json` for node 2, since nodes share their
 * settings.
 *
 * @param path What the settings say.
 * @param node The node.
 * @returns The path.
 */
export function tracePath(path: string, node: number): string {
  const [, stem, ending = ""] = /^(.*?[^/])(\.[^./]+)?$/s.exec(path) ?? [path, path];
  return `${stem}.${node}${ending}`;
}

/** The trace of one node, from the moment at which it has joined. */
export class TraceFile implements AsyncDisposable {
  /** Records what is written. */
  readonly recorder: TraceRecorder;
  /** Where it is written. */
  readonly path: string;
  readonly #options: TraceFileOptions;
  #file: Deno.FsFile | undefined;
  #writing: Promise<void> | undefined;
  #writtenBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Opens the file. What was in it is gone.
   *
   * @param options The node.
   * @throws {TdsmError} `InvalidOption` when there can be no such file, `SystemCallFailed` when it
   * cannot be written for another reason.
   */
  constructor(options: TraceFileOptions) {
    this.#options = options;
    const { node, name, path, by } = options;
    this.path = tracePath(path, node);
    this.#file = open(this.path, by);
    const due = (): void => {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        void this.write();
      }, 0);
    };
    this.recorder = new TraceRecorder(node, name, due, TRACE_WRITE_EVENTS);
  }

  /**
   * Writes what there is.
   *
   * @returns Resolves when it is written, or the trace has ended.
   */
  write(): Promise<void> {
    return this.#writing ??= this.#drain().finally(() => this.#writing = undefined);
  }

  async #drain(): Promise<void> {
    try {
      do await this.#writeAll(this.recorder.take()); while (
        this.recorder.waiting >= TRACE_WRITE_EVENTS
      );
    } catch (error) {
      this.#end(`its file cannot be written: ${reasonOf(error)}`);
    }
  }

  async #writeAll(lines: readonly string[]): Promise<void> {
    if (lines.length === 0 || this.#file === undefined) return;
    const before = this.#writtenBytes === 0 ? TRACE_BEGIN : ",\n";
    await this.#writeText(before + lines.join(",\n"));
    if (this.#writtenBytes <= TRACE_FILE_MAX_BYTES) return;
    await this.#writeText(TRACE_END);
    this.#end(`it has ${formatSize(TRACE_FILE_MAX_BYTES)}, the most that a trace may have`);
  }

  async #writeText(text: string): Promise<void> {
    let bytes = encoder.encode(text);
    this.#writtenBytes += bytes.length;
    while (bytes.length > 0 && this.#file !== undefined) {
      bytes = bytes.subarray(await noted(this.#file.write(bytes)));
    }
  }

  /** The trace ends before its node does. */
  #end(reason: string): void {
    if (this.#file === undefined) return;
    this.#close();
    this.#options.ended(reason);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.recorder.end();
    this.#file?.close();
    this.#file = undefined;
  }

  /** Writes the rest, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.write();
    // That may have been an earlier one.
    await this.write();
    try {
      if (this.#file !== undefined) await this.#writeText(TRACE_END);
      this.#close();
    } catch (error) {
      this.#end(`its file cannot be written: ${reasonOf(error)}`);
    }
  }
}

/**
 * Whether a path leads to anything but a regular file, such as a FIFO, at which `Deno.openSync`
 * would wait for a reader, and the engine with it. Makes the file where there is none.
 */
function isNoFile(path: string): boolean {
  // Deno cannot open without waiting, or look at a file that it may only write. Not imported, since
  // every engine would load it at its start.
  // deno-lint-ignore no-process-global
  const { closeSync, constants, fstatSync, openSync } = process.getBuiltinModule("node:fs");
  const { O_WRONLY, O_CREAT, O_NONBLOCK } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_WRONLY | O_CREAT | O_NONBLOCK, 0o666);
  } catch (error) {
    // Deno's own error says more of any other reason.
    return error instanceof Error && "code" in error && error.code === "ENXIO";
  }
  try {
    return !fstatSync(fd).isFile();
  } finally {
    closeSync(fd);
  }
}

function open(path: string, by: string): Deno.FsFile {
  try {
    if (isNoFile(path)) throw new Error(`${path} is no file`);
    return Deno.openSync(path, { write: true, create: true, truncate: true });
  } catch (cause) {
    const message = `Cannot ${OPERATION}: ${reasonOf(cause)}. Name another file${by}`;
    const { NotADirectory, IsADirectory, NotFound, PermissionDenied } = Deno.errors;
    const isWrong = [NotADirectory, IsADirectory, NotFound, PermissionDenied]
      .some((Wrong) => cause instanceof Wrong);
    throw new TdsmError(isWrong ? "InvalidOption" : "SystemCallFailed", message, {
      operation: OPERATION,
      cause,
    });
  }
}
