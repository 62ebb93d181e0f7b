/**
 * The engine's Worker: starts a node's engine on `EngineStart`, and catches errors that nothing
 * else catches. Otherwise the Worker would die, of which only the thread that started it learns,
 * and not even that thread while it blocks on an answer.
 */

import { packError } from "../ring/calls.ts";
import { EngineHost } from "./host.ts";
import type { EngineNews, EngineStart } from "./news.ts";

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<EngineStart>) => void) | null;
  addEventListener(kind: "error", take: (event: ErrorEvent) => void): void;
  addEventListener(kind: "unhandledrejection", take: (event: PromiseRejectionEvent) => void): void;
  postMessage(news: EngineNews): void;
}

const scope = globalThis as unknown as WorkerScope;
let host: EngineHost | undefined;

scope.onmessage = async ({ data }) => {
  scope.onmessage = null;
  try {
    host = await EngineHost.start(data, (news) => scope.postMessage(news));
  } catch (cause) {
    scope.postMessage({ kind: "failed", error: packError(cause) });
  }
};

scope.addEventListener("error", (event) => crash(event, event.error));
scope.addEventListener("unhandledrejection", (event) => crash(event, event.reason));

function crash(event: Event, error: unknown): void {
  event.preventDefault();
  if (host === undefined) scope.postMessage({ kind: "failed", error: packError(error) });
  else host.fail(error);
}
