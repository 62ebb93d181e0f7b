/** Runs scripts of WebAssembly's own test suite with their modules as they are and rewritten. */

import { ToolFlags } from "../support/tool_flags.ts";
import { noCount, runScript } from "./spec_script.ts";

const HELP = `Runs scripts of WebAssembly's own test suite with their modules rewritten.

Usage: ./tdsm deno run -A tests/wasm/main.ts FOLDER

  FOLDER  has what "wasm-tools json-from-wast" made of the suite's scripts, in any depth`;

const flags = new ToolFlags(HELP, { others: 1 });
const folder = flags.others[0] ?? flags.refuse("no FOLDER is named");

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
