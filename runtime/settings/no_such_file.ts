/** What is said of a file that is not there. */

import { NEAR_FILES_MAX } from "../limits.ts";
import { nearestName } from "./near.ts";

/**
 * Says that a file is not there, and which one was maybe meant.
 *
 * @param path The path, as it was given.
 * @returns The reason, to stand behind a colon: "there is no such file in /home/ann".
 */
export function noSuchFile(path: string): string {
  const near = nearFile(path);
  const guess = near === undefined ? "" : `. Did you mean ${near}?`;
  return `there is no such file in ${Deno.cwd()}${guess}`;
}

/** A file of the same folder whose name is near; `undefined` where there is none. */
function nearFile(path: string): string | undefined {
  const end = path.lastIndexOf("/") + 1;
  const [folder, file] = [path.slice(0, end), path.slice(end)];
  const names: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(folder || ".")) {
      if (names.push(name) === NEAR_FILES_MAX) break;
    }
  } catch {
    // The folder is not there either, or may not be read.
    return undefined;
  }
  const near = nearestName(file, names);
  return near && folder + near;
}
