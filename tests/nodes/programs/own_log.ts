/** A program that has configured LogTape for itself: the runtime's records go where it says. */

import { configure } from "@logtape/logtape";
import { join, run } from "../../../mod.ts";

const joined = Promise.withResolvers<void>();

await configure({
  sinks: {
    own({ category, level, message }) {
      console.log(`own: ${category.join(".")} ${level} ${message.join("")}`);
      joined.resolve();
    },
  },
  loggers: [
    { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["own"] },
    { category: "tdsm", lowestLevel: "info", sinks: ["own"] },
  ],
});

await run(async (node) => {
  await using _second = await join({ directoryAddress: `127.0.0.1:${node.port}`, port: 0 });
  await joined.promise;
});
