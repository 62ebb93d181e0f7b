/** A file with a key of a test's own. */

import { newKey } from "../../runtime/settings/key.ts";

/** A key in a file that only its owner can read; the file is removed in the end. */
export class KeyFile implements Disposable {
  /** Where it is. */
  readonly path: string = Deno.makeTempFileSync({ prefix: "tdsm-", suffix: ".key" });
  /** The key in base64. */
  readonly text: string = newKey();

  constructor() {
    Deno.writeTextFileSync(this.path, `${this.text}\n`);
  }

  /** The flag by which a node has the key. */
  get flag(): string {
    return `--key-file=${this.path}`;
  }

  /** Removes the file. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}
