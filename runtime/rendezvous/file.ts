/**
 * Nodes that find each other by a file on a file system that all of them see. The node that locks
 * the file hosts the directory, and keeps the lock for as long as it lives: so a file whose lock is
 * free is one of a dead cluster, and no clock has to tell.
 */

import { effectiveUser } from "../../ffi/machine.ts";
import { formatAddress, isLoopback, isWildcard, parseAddress } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { RENDEZVOUS_FILE_MAX_BYTES } from "../limits.ts";
import { refused } from "../settings/flags.ts";
import { MODE_OTHERS, newKey } from "../settings/key.ts";
import { keyOf } from "../settings/key_text.ts";
import type { Settings } from "../settings/types.ts";
import { Looks } from "./looks.ts";
import { hostOf, machineName } from "./machine.ts";
import { whyNotThere } from "./probe.ts";
import { joiningBy, mayClaim, NOT_CLAIMED, notInTime, type Told } from "./record.ts";
import type { Finding, Hosting, Rendezvous, Seeker } from "./rendezvous.ts";
import { placeSeen } from "./variables.ts";

const MODE = 0o600;
/** With what every record begins: what begins otherwise is no file of a rendezvous. */
const BEGINNING = '{"tdsm":';
const RECORD_VERSION = 1;

/** What the file says of a cluster. */
interface FileRecord extends Told {
  readonly tdsm: typeof RECORD_VERSION;
  readonly address: string;
  readonly boot: string;
}

/** A file by which nodes find each other. */
export class FileRendezvous implements Rendezvous {
  readonly #path: string;

  /**
   * @param path The file, which is made where there is none.
   */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Hosts the directory if no other node has the lock of the file, and otherwise waits for where
   * the directory is. A node that only serves calls never hosts; of nodes with ranks only the first
   * one does.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} `PermissionMissing`, `InvalidOption`, or `NoDirectory` when the time is up.
   */
  async find({ settings, giveUpAtMs }: Seeker): Promise<Finding> {
    this.#requirePermissions();
    // Several machines of a launcher that does not tell of them may share a file.
    const place = placeSeen();
    const mayHost = mayClaim(settings, place);
    const looks = new Looks(giveUpAtMs);
    for (let met = NOT_CLAIMED;;) {
      const file = await this.#open(settings);
      try {
        if (await file.tryLock(mayHost)) {
          if (mayHost && await this.#isCurrent(file)) {
            return { ...await this.#host(file, settings), place };
          }
          file.close();
        } else {
          const text = await readText(file);
          file.close();
          const found = await joiningBy(`the file ${this.#path}`, recordOf(text) ?? {});
          if (typeof found === "object") return { ...found, place };
          met = found;
        }
      } catch (error) {
        close(file);
        throw error;
      }
      if (!await looks.again()) throw notInTime(`the file ${this.#path}`, settings, met);
    }
  }

  #requirePermissions(): void {
    const path = this.#path;
    const missing = (["read", "write"] as const).filter((name) =>
      Deno.permissions.querySync({ name, path }).state !== "granted"
    );
    if (missing.length === 0) return;
    const flags = missing.map((name) => `--allow-${name}=${path}`).join(" ");
    throw new TdsmError(
      "PermissionMissing",
      `Cannot use the file ${path} to find the directory: run Deno with ${flags}`,
      { operation: "join" },
    );
  }

  async #open(settings: Settings): Promise<Deno.FsFile> {
    const path = this.#path;
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path, { read: true, write: true, create: true, mode: MODE });
    } catch (cause) {
      throw refused(`Cannot use the file ${path} to find the directory: ${reasonOf(cause)}`, cause);
    }
    const hasKey = settings.key === undefined && !settings.insecure;
    const why = whyNotOurs(await file.stat(), path, hasKey);
    if (why === undefined) return file;
    file.close();
    throw refused(`Cannot use ${path} to find the directory: ${why}`);
  }

  /** Whether the path still leads to the file: a node that left may have removed it. */
  async #isCurrent(file: Deno.FsFile): Promise<boolean> {
    try {
      const [{ ino, dev }, now] = [await file.stat(), await Deno.stat(this.#path)];
      return ino === now.ino && dev === now.dev;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Has this node host, once it has the lock. */
  async #host(file: Deno.FsFile, settings: Settings): Promise<Hosting> {
    const path = this.#path;
    const text = await readText(file);
    if (text !== "" && !text.startsWith(BEGINNING)) {
      const what = "it has something else in it. Name a file that is not there yet";
      throw refused(`Cannot use the file ${path} to find the directory: ${what}`);
    }
    const { boot } = machineName();
    const old = recordOf(text);
    // On one machine the lock is proof. Some network file systems do not pass locks on.
    if (old !== undefined && old.boot !== boot) await this.#requireDead(old);
    await file.truncate();
    const needsKey = settings.key === undefined && !settings.insecure;
    const key = needsKey ? newKey() : undefined;
    return {
      kind: "host",
      key: key === undefined ? undefined : keyOf(key),
      plain: isLoopback(settings.address),
      publish: async ({ hostname, port }) => {
        const address = formatAddress({
          hostname: isWildcard(hostname) ? hostOf() : hostname,
          port,
        });
        const record: FileRecord = { tdsm: RECORD_VERSION, address, boot, ...(key && { key }) };
        await file.write(new TextEncoder().encode(`${JSON.stringify(record)}\n`));
        await file.sync();
      },
      withdraw: async () => {
        try {
          if (await this.#isCurrent(file)) await Deno.remove(path);
        } finally {
          file.close();
        }
      },
    };
  }

  /**
   * Makes sure that no directory is where the record of another machine says, although the lock is
   * free.
   */
  async #requireDead({ address }: FileRecord): Promise<void> {
    const directory = parseAddress(address, 0);
    if (isLoopback(directory.hostname) || await whyNotThere(directory) !== undefined) return;
    const message = `Cannot use the file ${this.#path} to find the directory: its lock is free, ` +
      `but something answers at ${address}, which it names. Where that is a cluster that lives, ` +
      "the file system does not lock across machines; where it is not, remove the file";
    throw new TdsmError("JoinRefused", message, { operation: "join" });
  }
}

/**
 * Why a file cannot be used; `undefined` where it can. Its owner reads the key in it whatever its
 * mode is, and root opens the files of all.
 */
function whyNotOurs(
  { isFile, mode, uid }: Deno.FileInfo,
  path: string,
  hasKey: boolean,
): string | undefined {
  if (!isFile) return "it is no file";
  if (!hasKey) return undefined;
  if (((mode ?? 0) & MODE_OTHERS) !== 0) {
    return `others can read or change it, and it has the key. Run chmod 600 ${path}`;
  }
  if (uid === null || uid === (effectiveUser() ?? uid)) return undefined;
  return `it is a file of another user (${uid}), and it has the key. Name a file that is not there ` +
    "yet, in a folder of your own";
}

/** Reads a file from its beginning. */
async function readText(file: Deno.FsFile): Promise<string> {
  await file.seek(0, Deno.SeekMode.Start);
  const bytes = new Uint8Array(RENDEZVOUS_FILE_MAX_BYTES);
  let end = 0;
  for (let count: number | null = 1; count !== null && end < bytes.length; end += count ?? 0) {
    count = await file.read(bytes.subarray(end));
  }
  await file.seek(0, Deno.SeekMode.Start);
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** What a file says; `undefined` where it says nothing, or is only half written. */
function recordOf(text: string): FileRecord | undefined {
  try {
    const record = JSON.parse(text) as FileRecord;
    const { tdsm, address, boot, key } = record;
    if (tdsm !== RECORD_VERSION || typeof boot !== "string") return undefined;
    parseAddress(address, 0);
    if (key !== undefined) keyOf(key);
    return record;
  } catch {
    return undefined;
  }
}

/** Closes a file that may be closed. */
function close(file: Deno.FsFile): void {
  try {
    file.close();
  } catch {
    // It is closed already.
  }
}
