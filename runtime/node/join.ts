/**
 * Joining a cluster: starts the engine's Worker, and makes the node from the Worker's report.
 */

import { availableMemory } from "../../ffi/memory_available.ts";
import { findLibrary } from "../../ffi/embedded.ts";
import type { TdsmLibrary } from "../../ffi/library.ts";
import { currentThread, NativeRegion, setEnvironment } from "../../ffi/native.ts";
import { programWaker } from "../../ffi/program.ts";
import { readEnvironment, resolveSettings } from "../settings/settings.ts";
import type { NodeOptions, Settings } from "../settings/types.ts";
import { unpackError } from "../ring/calls.ts";
import type { EngineNews, EngineStart } from "../engine/news.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { loadEngineSource, startEngineWorker } from "../engine/source.ts";
import { EngineClient } from "../ring/client.ts";
import { errorText, ExitCode, TdsmError } from "../errors.ts";
import { FAILURE_GRACE_MS } from "../limits.ts";
import { deathMessage, Level, logFormat, setLogFormat, writeLog } from "../log.ts";
import { isWorker, markNode, requireNoNode } from "./one_node.ts";
import { offerToNative } from "./native_threads.ts";
import { newNode, type Node } from "./node.ts";
import { memoryOf } from "./thread.ts";
import { serveRpc } from "./rpc_transport.ts";
import { metricsAt } from "../settings/metrics_address.ts";
import { readKey, requireKey } from "../settings/key.ts";
import { requireNative, requirePermissions } from "../settings/permissions.ts";
import { requireDeno } from "../version.ts";
import { warnOfUnread } from "./unread_environment.ts";
import { meet, type Meeting } from "../rendezvous/meet.ts";
import type { Place } from "../rendezvous/rendezvous.ts";
import { placeOf, TURN_VARIABLE } from "../engine/turn.ts";
import { tellWhileJoining } from "./waits_told.ts";

/** What native code may still look at; at most one for each region that a process can have open. */
const callsOfLostEngines: SharedArrayBuffer[] = [];

/**
 * Joins a cluster, or begins one.
 *
 * Settings come from `options`, then from the environment as far as it may be read, then from the
 * defaults; the program's arguments are not looked at.
 *
 * @param options The node's settings.
 * @returns The node. Dispose of the node, or close it, to leave the cluster.
 * @throws {TdsmError} Why the node cannot join; the message says what to do.
 *
 * @example Begin a cluster on any free port
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * console.log(`Join me with --directory-address ${node.address}:${node.port}`);
 * ```
 */
export function join(options: NodeOptions = {}): Promise<Node> {
  return startNode(resolveSettings(options, undefined, readEnvironment()).settings, false);
}

/**
 * Starts a node.
 *
 * @param given What it goes by.
 * @param ownsProcess Whether the process ends with the node, even if its program computes or
 * blocks.
 * @returns The node, once it has joined.
 * @throws {TdsmError} Why the node cannot start.
 */
export async function startNode(
  given: Settings,
  ownsProcess: boolean,
): Promise<Node> {
  requireDeno();
  // Some ways to find the directory use the C library.
  requireNative(given);
  const meeting = await meet(given);
  try {
    return await startAndPublish(meeting, ownsProcess);
  } catch (error) {
    const isTaken = error instanceof TdsmError && error.code === "ListenFailed";
    if (!meeting.isContended || !isTaken) throw error;
    return await startAndPublish(await meet(given), ownsProcess);
  }
}

/** Starts a node, and tells others of it where it hosts the directory. */
async function startAndPublish(meeting: Meeting, ownsProcess: boolean): Promise<Node> {
  let node: Node | undefined;
  try {
    node = await startMet(meeting, ownsProcess);
    const { address: hostname, port } = node;
    await meeting.publish({ hostname, port });
    return node;
  } catch (error) {
    // A node that is closed takes back by itself what it has published.
    await (node === undefined ? meeting.withdraw() : node.close()).catch(() => {});
    throw error;
  }
}

/** Starts a node that knows whether it hosts the directory, or where that is. */
async function startMet(meeting: Meeting, ownsProcess: boolean): Promise<Node> {
  const { settings } = meeting;
  setLogFormat(settings.logFormat);
  requirePermissions(settings);
  requireKey(settings);
  const read = await readKey(settings.key);
  if (read?.warning !== undefined && settings.logLevel >= Level.Warning) {
    writeLog(Level.Warning, read.warning);
  }
  const engine = await loadEngineSource();
  const library = await findLibrary({ path: settings.library, forProgram: true });
  warnOfUnread(settings.logLevel);
  // By default Deno looks at sockets only every 61 turns of a busy event loop. A Worker's runtime
  // reads this when it is made.
  setEnvironment(library, "DENO_TOKIO_EVENT_INTERVAL", "1");
  requireNoNode();
  const ticket = readEnvironment()(TURN_VARIABLE);
  const place = meeting.place ?? placeOf(ticket, settings);
  const metrics = metricsAt(settings.metrics, place?.rank);
  const slots = new CallSlots(undefined, programWaker(library));
  const worker = startEngineWorker(engine);
  const { memoryLimit } = settings;
  const isKnown = memoryLimit !== undefined && "bytes" in memoryLimit;
  const start: EngineStart = {
    settings: {
      ...settings,
      metrics,
      key: read?.key,
      signals: settings.signals ?? ownsProcess,
    },
    library: library.path,
    slots: slots.buffer,
    // Found out here, while the Worker's thread scans the engine's code.
    available: isKnown ? undefined : availableMemory(),
    ownsProcess,
    otherPorts: meeting.otherPorts,
    otherDirectories: meeting.otherDirectories,
    place,
    ticket,
  };
  using waiting = new DisposableStack();
  const joining = (): void => void waiting.use(tellWhileJoining(settings));
  const ready = untilReady(worker, library, slots, place, meeting, joining, settings.atomics);
  worker.postMessage(start);
  try {
    return await ready;
  } catch (error) {
    worker.terminate();
    // An engine that reported why it cannot start has left the library; a crashed one may still be
    // inside.
    if (error instanceof TdsmError && error.code !== "EngineFailed") library[Symbol.dispose]();
    throw error;
  }
}

/**
 * Listens to the engine, at first until it is ready, then for as long as it runs.
 *
 * @param place The node's place among those that were started together.
 * @param meeting How the node was found by others, until it is closed.
 * @param joining Called when the engine begins to join.
 * @param atomics Whether `Atomics` of this thread are to wait across nodes.
 */
function untilReady(
  worker: Worker,
  library: TdsmLibrary,
  slots: CallSlots,
  place: Place | undefined,
  meeting: Meeting,
  joining: () => void,
  atomics: boolean,
): Promise<Node> {
  const ready = Promise.withResolvers<Node>();
  const closed = Promise.withResolvers<void>();
  /** Resolves when the engine has sent its last news. */
  const told = Promise.withResolvers<void>();
  // A program that does not await `closed` learns of the failure by its next call or fault.
  closed.promise.catch(() => {});
  let client: EngineClient | undefined;
  let fence: ((error: TdsmError) => void) | undefined;
  let unbind = (): void => {};
  let detach = (): void => {};
  const leave = (): void => {
    client?.leaveSync();
    detach();
  };
  const fail = (error: TdsmError): void => {
    ready.reject(error);
    closed.reject(error);
    client?.fail(error);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new TdsmError("EngineFailed", `The engine has failed: ${event.message}`);
    // No engine is there to do it; threads that wait for a page would wait for ever.
    fence?.(error);
    slots.end();
    fail(error);
    told.resolve();
  };
  worker.onmessage = ({ data }: MessageEvent<EngineNews>) => {
    switch (data.kind) {
      case "ready": {
        const { id, address, port, shared } = data;
        const region = NativeRegion.attach(library, { handle: data.handle });
        client = new EngineClient(slots, region, currentThread(library), library);
        fence = (error) => {
          const message = deathMessage(errorText(error), logFormat(), id);
          region.fence(message, ExitCode.Node, FAILURE_GRACE_MS);
          slots.fail(error);
        };
        const rank = place?.rank;
        const nodeCount = place?.nodeCount ?? meeting.settings.nodes;
        offerToNative(library, data.handle, slots, { id, rank, nodeCount });
        const unmark = markNode(library);
        const terminate = async (
          orderly: boolean,
          failure: TdsmError | undefined,
        ): Promise<void> => {
          removeEventListener("unload", leave);
          // The answer to the call can overtake earlier news, such as a line of the log.
          if (orderly) await told.promise;
          unmark();
          try {
            await meeting.withdraw();
          } finally {
            worker.terminate();
            slots.end();
            unbind();
            // A thread of an engine that did not close may still be inside of the library; and the
            // library, which has not closed the region, goes on to use the memory of the calls.
            if (orderly) library[Symbol.dispose]();
            else callsOfLostEngines.push(slots.buffer);
            if (failure === undefined) closed.resolve();
            else closed.reject(failure);
          }
        };
        const node = newNode({
          id,
          address,
          port,
          rank,
          nodeCount,
          region,
          shared,
          client,
          library,
          slots: slots.buffer,
          atomics,
          closed: closed.promise,
          terminate,
          failed: (error) => closed.reject(error),
        });
        unbind = serveRpc(node, client);
        // No node gives the pages any more that later listeners for the end of the process would
        // read.
        detach = () => memoryOf(node).end();
        // `Deno.exit` runs this listener; otherwise the pages that only this node has would be
        // lost.
        addEventListener("unload", leave);
        return ready.resolve(node);
      }
      case "joining":
        return joining();
      case "failed":
        return fail(unpackError(data.error));
      case "closing":
        return closed.resolve();
      case "exit":
        // In a Worker that would end nothing but the Worker: the engine ends the process a little
        // later.
        return isWorker() ? undefined : Deno.exit(data.code);
      case "closed":
        return told.resolve();
      case "log":
        return writeLog(data.level, data.text, data.topic, data.fields);
      default:
        data satisfies never;
    }
  };
  return ready.promise;
}
