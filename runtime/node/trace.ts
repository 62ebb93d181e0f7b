/** A trace of one phase of a program. */

import { show } from "../arguments/show.ts";
import { Call } from "../ring/calls.ts";
import type { EngineClient } from "../ring/client.ts";
import { requireTrace } from "../settings/permissions.ts";

const OPERATION = "begin a trace";

/**
 * Begins a trace of a thread's node. Set by the class: programs have no constructor of it.
 *
 * @param client The thread's way to the engine.
 * @param path Where the trace goes, but for the node's id.
 * @returns The trace, once it has begun.
 */
export let beginTrace: (client: EngineClient, path: string) => Promise<Trace>;

/**
 * A trace of what a node does, from {@linkcode NodeThread.trace} on until it is stopped, in a file
 * for Perfetto.
 *
 * @example Trace one phase
 * ```ts
 * import { join, type Trace } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const folder = await Deno.makeTempDir();
 * const trace: Trace = await node.trace(`${folder}/phase.json`);
 * node.memory[0] = 1; // its fault is in the trace
 * const dropped = await trace.stop();
 * console.log(trace.path, dropped); // …/phase.1.json 0
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class Trace implements AsyncDisposable {
  /** Where it is written: the path that was given, with the node's id in the name. */
  readonly path: string;
  #client!: EngineClient;
  #stopped: Promise<number> | undefined;

  static {
    beginTrace = async (client, path) => {
      if (typeof path !== "string" || !/[^/]$/.test(path)) {
        throw new TypeError(`Cannot ${OPERATION} in ${show(path)}: give the path of a file`);
      }
      requireTrace(path, OPERATION);
      const trace = new Trace(await client.call(Call.TraceBegin, path, OPERATION) as string);
      trace.#client = client;
      return trace;
    };
  }

  /** `node.trace` makes traces. */
  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Ends the trace. A second call gets the same promise.
   *
   * @returns How many events are not in the file, as more came than could be written in time;
   *   resolves once the file is whole.
   * @throws {TdsmError} When this node is closed, by which the file is whole, or cannot go on.
   */
  stop(): Promise<number> {
    return this.#stopped ??= this.#client.call(Call.TraceEnd, this.path, "stop a trace").then(
      Number,
    );
  }

  /** Ends the trace, if it goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A node that is closed has ended its trace, and one that cannot go on says so elsewhere.
    await this.stop().catch(() => {});
  }
}
