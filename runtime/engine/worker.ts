/**
 * The engine's Worker: starts a node's engine when it is told what to go by.
 */

import { packError } from "./calls.ts";
import { EngineHost, type EngineNews, type EngineStart } from "./host.ts";

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<EngineStart>) => void) | null;
  postMessage(news: EngineNews): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data }) => {
  scope.onmessage = null;
  try {
    await EngineHost.start(data, (news) => scope.postMessage(news));
  } catch (error) {
    scope.postMessage({ kind: "failed", error: packError(error) });
  }
};
