/**
 * The example in Rust with rayon, on two nodes. CI leaves it out, since Cargo has to fetch
 * rayon; it needs Rust's target: `rustup target add wasm32-wasip1-threads`.
 */

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { withFolder } from "../support/folder.ts";
import { ProcessCluster } from "../support/process_cluster.ts";
import { buildCargo, findTarget } from "../wasi/rust_target.ts";

/** How long the example may compute, in milliseconds: for a minute where the cores are busy. */
const RUN_MAX_MS = 600_000;
const FOLDER = fileURLToPath(new URL("../../examples/wasm_threads/collatz", import.meta.url));
const ignore = await findTarget() === undefined;

Deno.test(
  "rayon: the example shares its work out over two nodes",
  { ignore },
  () =>
    withFolder(async (folder) => {
      const modules = await buildCargo(FOLDER, folder);
      await using cluster = new ProcessCluster(RUN_MAX_MS);
      const words = ["wasm", "-n", "2", `${modules}/collatz.wasm`, "4"];
      const args = ["run", "-A", "--no-prompt", "mod.ts", ...words];
      const { code, stdout } = await cluster.spawn("rayon", { args }).exit();
      const lines = [
        "the longest chain below a million has 524 steps, from 837799",
        "100000 numbers are sorted",
        "OK\n",
      ];
      assertEquals([code, stdout], [0, lines.join("\n")]);
    }),
);
