/** Every operation of Deno's that the engine's thread begins is noted where it begins. */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** What runs in the thread of the engine and is not pure; bundle.ts runs in the main thread. */
const FOLDERS = ["runtime/cluster", "runtime/secure", "runtime/engine"];

/** Where an operation begins; before it, only what names the object, and what notes it. */
const OPERATION =
  /(\bnoted\(\s*)?(?:\bawait\s+)?(?:\bthis\.#|\bcrypto\.)?\b(?:subtle\.\w+|Deno\.(?:connect|resolveDns)|(?:connection|listener)\??\.(?:read|write|closeWrite|accept))\(/g;

function unnoted(path: string, text: string): string[] {
  const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
  return [...code.matchAll(OPERATION)].filter(([, noted]) => noted === undefined)
    .map(([found]) => `${path}: ${found.trim()}…`);
}

Deno.test("event loop: the engine's operations are noted, since they end no sleep at first", () => {
  let operations = 0;
  const found: string[] = [];
  for (const folder of FOLDERS) {
    for (const { name } of Deno.readDirSync(new URL(folder, ROOT))) {
      if (!name.endsWith(".ts") || /_(?:test|bench)\.ts$|bundle\./.test(name)) continue;
      const path = `${folder}/${name}`;
      const text = Deno.readTextFileSync(new URL(path, ROOT));
      operations += [...text.matchAll(OPERATION)].length;
      found.push(...unnoted(path, text));
    }
  }
  assert(operations > 15, "the operations were found");
  assertEquals(found, []);
  assertEquals(unnoted("a.ts", "x = await this.#connection.read(bytes);"), [
    "a.ts: await this.#connection.read(…",
  ]);
});
