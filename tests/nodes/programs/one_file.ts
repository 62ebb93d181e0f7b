/**
 * The usual program of one file, whose Worker runs the same file: there it asks for a node of its
 * own.
 */

import { join, run } from "../../../mod.ts";

if (Deno.args.includes("--join")) {
  if (import.meta.main) {
    const own = "WorkerGlobalScope" in globalThis;
    const node = await join({ port: 0, directory: true }).catch((error) => {
      console.log(`${error.code}: ${error.message}`);
      return undefined;
    });
    if (!own) {
      const worker = new Worker(import.meta.url, { type: "module" });
      worker.onmessage = async () => {
        worker.terminate();
        await node!.close();
      };
    } else {
      (self as unknown as { postMessage(value: unknown): void }).postMessage("done");
    }
  }
} else if (import.meta.main) {
  await run(async () => {
    new Worker(import.meta.url, { type: "module" });
    await new Promise(() => {});
  });
}
