/**
 * Runs scripts of WebAssembly's own test suite with their modules as they are and rewritten:
 * `deno run -A tests/wasm/main.ts FOLDER`. The folder has what `wasm-tools json-from-wast` made of
 * the suite's scripts, in any depth.
 */

import { noCount, runScript } from "./spec_script.ts";

const [folder] = Deno.args;
if (folder === undefined) {
  console.error("Name the folder that has the scripts, as wasm-tools json-from-wast writes them");
  Deno.exit(2);
}

const count = noCount();
let scripts = 0;
let failed = 0;
for (const path of find(folder)) {
  try {
    runScript(path, count);
    scripts++;
  } catch (error) {
    failed++;
    console.log(`FAILED  ${(error as Error).message}`);
  }
}
console.log(
  `${count.modules} modules are valid rewritten, ${count.refused} are refused either way; ` +
    `${count.steps} steps came to the same, ${count.unseen} have values that JavaScript has not; ` +
    `${count.several} scripts end with a module of several memories`,
);
console.log(`${scripts} passed, ${failed} failed`);
Deno.exitCode = failed === 0 && scripts > 0 ? 0 : 1;

/** The scripts in a folder. */
function find(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return find(path);
    return name.endsWith(".json") ? [path] : [];
  });
}
