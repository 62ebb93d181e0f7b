/**
 * The key of a cluster: how it is made, read and demanded. No text that the runtime writes has a
 * key in it, but for the one line of `--new-key`.
 */

import { formatAddress, isLoopback } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { KEY_BYTES, KEY_FILE_MAX_BYTES } from "../limits.ts";
import { NEW_KEY_COMMAND } from "../start_command.ts";
import { refused } from "./flags.ts";
import { keyOf, type KeySource } from "./key_text.ts";
import type { Settings } from "./types.ts";

/** The bits of a file's mode by which others than its owner can read or change it. */
export const MODE_OTHERS = 0o077;

/** A key that was read. */
export interface ReadKey {
  readonly key: Uint8Array;
  /** What the user should know; `undefined` where all is well. */
  readonly warning: string | undefined;
}

/**
 * Makes a key that nobody has.
 *
 * @returns The key in base64.
 */
export function newKey(): string {
  return crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toBase64();
}

/**
 * Reads the key that the settings name.
 *
 * @param source The setting.
 * @returns The key; `undefined` where there is none.
 * @throws {TdsmError} `InvalidOption` or `PermissionMissing` where the file cannot be read, or has
 * no key.
 */
export async function readKey(source: KeySource | undefined): Promise<ReadKey | undefined> {
  if (source === undefined) return undefined;
  if (source instanceof Uint8Array) return { key: source, warning: undefined };
  const { file: path } = source;
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") {
    const message = `Cannot read the key file ${path}: run Deno with --allow-read=${path}`;
    throw new TdsmError("PermissionMissing", message, { operation: "configure" });
  }
  const { bytes, mode } = await readStart(path);
  try {
    const key = keyOf(new TextDecoder().decode(bytes));
    const isOpen = ((mode ?? 0) & MODE_OTHERS) !== 0;
    const warning = `Others on this machine can read or change the key file ${path}: ` +
      `run chmod 600 ${path}, and make a new key if somebody has`;
    return { key, warning: isOpen ? warning : undefined };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw refused(`Cannot use the key file ${path}: its text ${error.message}`);
  }
}

/** Reads as much of a file as any key has. */
async function readStart(path: string): Promise<{ bytes: Uint8Array; mode: number | null }> {
  try {
    using file = await Deno.open(path);
    const { mode, isFile } = await file.stat();
    if (!isFile) throw new Error("it is no file");
    const bytes = new Uint8Array(KEY_FILE_MAX_BYTES);
    return { bytes: bytes.subarray(0, await file.read(bytes) ?? 0), mode };
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotFound
      ? `there is none; make one with ${NEW_KEY_COMMAND} > ${path}`
      : cause instanceof Error
      ? cause.message
      : `${cause}`;
    throw refused(`Cannot read the key file ${path}: ${why}`, cause);
  }
}

/**
 * Makes sure that a node which others than its own machine can reach has a key.
 *
 * @param settings The settings of the node.
 * @throws {TdsmError} `KeyMissing`, with the ways out.
 */
export function requireKey({ address, port, directoryAddress, key, insecure }: Settings): void {
  if (key !== undefined || insecure) return;
  const ends = [{ hostname: address, port }, ...(directoryAddress ? [directoryAddress] : [])];
  const far = ends.find(({ hostname }) => hostname !== "localhost" && !isLoopback(hostname));
  if (far === undefined) return;
  const at = far.port === 0 ? far.hostname : formatAddress(far);
  const message =
    `Cannot join without a key at ${at}, where other machines can read and write the region: make ` +
    `one with ${NEW_KEY_COMMAND} > cluster.key, and give it to every node with ` +
    "--key-file cluster.key. Or let anyone in, with --insecure";
  throw new TdsmError("KeyMissing", message, { operation: "join" });
}
