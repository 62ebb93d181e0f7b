/**
 * A whole engine, as small as one can be: serves every fault by making the page's first byte the
 * page's number. Bundled and started from a Blob by the tests, as the real one is.
 */

import { FAULT_FLAGS, FAULT_PAGE, FAULT_WORDS, FAULT_WRITE, WAIT_CLOSING } from "../abi.ts";
import { openLibrary } from "../library.ts";
import { NativeRegion, type NativeRegionHandle } from "../native.ts";

interface Start {
  path: string;
  region: NativeRegionHandle;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Start>) => void;
  postMessage: (message: unknown) => void;
};

scope.onmessage = async ({ data }) => {
  using library = openLibrary({ path: data.path });
  using region = NativeRegion.attach(library, data.region);
  const alias = region.alias();
  const faults = new Uint32Array(16 * FAULT_WORDS);
  const served = new Set<number>();
  scope.postMessage("ready");
  while ((await region.wait(-1) & WAIT_CLOSING) === 0) {
    const count = region.readFaults(faults);
    for (let at = 0; at < count * FAULT_WORDS; at += FAULT_WORDS) {
      const page = faults[at + FAULT_PAGE]!;
      const write = (faults[at + FAULT_FLAGS]! & FAULT_WRITE) !== 0;
      if (!served.has(page)) alias[page * region.pageSize] = page;
      served.add(page);
      region.install(page, 1, write);
    }
  }
  scope.postMessage("closed");
};
