/**
 * Tasks of a job step of Slurm. Task 0 hosts; the others know its machine from the list of machines
 * of the step, and its port from the numbers of job and step.
 */

import { reasonOf, TdsmError } from "../errors.ts";
import { DIRECTORY_PORT_DEFAULT, KEY_FILE_MAX_BYTES } from "../limits.ts";
import { MODE_OTHERS, newKey } from "../settings/key.ts";
import { keyOf } from "../settings/key_text.ts";
import { Looks } from "./looks.ts";
import { whyOnlyHere } from "./machine.ts";
import { parseNodelist } from "./nodelist.ts";
import { addressesAt, portsOf } from "./ports.ts";
import { type Finding, KNOWN_TO_ALL, type Rendezvous, type Seeker } from "./rendezvous.ts";
import { placeBy, variablesOf } from "./variables.ts";

/** The tasks of a job step. */
export class SlurmRendezvous implements Rendezvous {
  readonly #variables = variablesOf("slurm");

  /**
   * Has task 0 host.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} `PermissionMissing`; `InvalidOption` where Slurm's variables are no use; or
   * `NoDirectory` where the key is not there in time.
   */
  async find(seeker: Seeker): Promise<Finding> {
    const variables = this.#variables;
    const place = placeBy("slurm", variables);
    const { settings } = seeker;
    if (place.nodeCount === 1) {
      // As without Slurm: others may join by address.
      const ports = [settings.isPortGiven ? settings.port : DIRECTORY_PORT_DEFAULT];
      return { kind: "host", place, ports, ...KNOWN_TO_ALL };
    }
    const [job, step] = [variables.number("SLURM_JOB_ID"), variables.number("SLURM_STEP_ID")];
    const machines = this.#machines();
    const isSingle = machines.length === 1;
    const hostname = isSingle ? "127.0.0.1" : machines[0]!;
    if (!isSingle && variables.number("SLURM_NODEID") === 0) {
      const why = whyOnlyHere(hostname);
      if (why !== undefined) throw variables.wrong(why);
    }
    const ports = portsOf(job, step);
    const isHost = place.rank === 0;
    const key = settings.key === undefined ? await this.#key(seeker, isHost) : undefined;
    const found = { place, key: key?.bytes, plain: isSingle || settings.insecure };
    if (!isHost) return { kind: "join", directories: addressesAt(hostname, ports), ...found };
    return {
      kind: "host",
      ...found,
      address: isSingle ? undefined : "0.0.0.0",
      ports,
      ...KNOWN_TO_ALL,
      withdraw: async () => await key?.remove?.(),
    };
  }

  /** The machines of the step: task 0 is on the first one. */
  #machines(): string[] {
    const variables = this.#variables;
    const [name] = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"].filter((it) => variables.find(it));
    const list = variables.text(name ?? "SLURM_JOB_NODELIST");
    try {
      return parseNodelist(list);
    } catch (error) {
      throw variables.wrong(`${name} cannot be read: ${reasonOf(error)}`, error);
    }
  }

  /** The key of the step, by a file in the folder in which the job was submitted. */
  async #key(
    { settings, giveUpAtMs }: Seeker,
    isHost: boolean,
  ): Promise<{ bytes: Uint8Array; remove?: () => Promise<void> }> {
    const variables = this.#variables;
    const restarts = variables.find("SLURM_RESTART_COUNT");
    const name = [
      "tdsm",
      variables.number("SLURM_JOB_ID"),
      variables.number("SLURM_STEP_ID"),
      ...(restarts === undefined ? [] : [restarts]),
    ].join("-");
    if (settings.insecure) {
      // It keeps nobody out, but keeps this cluster apart from others.
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
      return { bytes: new Uint8Array(digest) };
    }
    const folder = variables.text("SLURM_SUBMIT_DIR");
    const path = `${folder}/.${name}.key`;
    requirePermissions(folder, path, isHost);
    if (isHost) return await this.#makeKey(path);
    const looks = new Looks(giveUpAtMs);
    do {
      const bytes = await this.#readKey(path);
      if (bytes !== undefined) return { bytes };
      await lookAnew(folder);
    } while (await looks.again());
    throw new TdsmError(
      "NoDirectory",
      `Cannot find the directory by Slurm: task 0 has not written the key of the step to ${path} ` +
        `within ${settings.joinTimeoutMs} ms. Where the machines do not share that folder, set ` +
        "TDSM_KEY in the job's script; or wait longer with --join-timeout",
      { operation: "join" },
    );
  }

  /** Makes a key, and the file that has it: at once with all that is in it. */
  async #makeKey(path: string): Promise<{ bytes: Uint8Array; remove: () => Promise<void> }> {
    const text = newKey();
    const draft = `${path}.${crypto.randomUUID()}`;
    try {
      await Deno.writeTextFile(draft, `${text}\n`, { createNew: true, mode: 0o600 });
      await Deno.rename(draft, path);
    } catch (cause) {
      throw this.#variables.wrong(`cannot write ${path}: ${reasonOf(cause)}`, cause);
    }
    const remove = async (): Promise<void> => {
      try {
        await Deno.remove(path);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    };
    return { bytes: keyOf(text), remove };
  }

  /** Reads the key; `undefined` where there is no file yet. */
  async #readKey(path: string): Promise<Uint8Array | undefined> {
    try {
      using file = await Deno.open(path);
      const { mode, isFile } = await file.stat();
      if (!isFile || ((mode ?? 0) & MODE_OTHERS) !== 0) {
        throw this.#variables.wrong(`others can read or change ${path}. Remove it`);
      }
      const bytes = new Uint8Array(KEY_FILE_MAX_BYTES);
      const length = await file.read(bytes) ?? 0;
      return keyOf(new TextDecoder().decode(bytes.subarray(0, length)));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      if (error instanceof TdsmError) throw error;
      throw this.#variables.wrong(`cannot read the key in ${path}: ${reasonOf(error)}`, error);
    }
  }
}

/** Refuses a node that may not use the key's folder: it lists that, and drafts the file there. */
function requirePermissions(folder: string, path: string, isHost: boolean): void {
  const missing = (["read", "write"] as const).filter((name) =>
    (name === "read" || isHost) &&
    Deno.permissions.querySync({ name, path: folder }).state !== "granted"
  );
  if (missing.length === 0) return;
  const flags = missing.map((name) => `--allow-${name}=${folder}`).join(" ");
  throw new TdsmError(
    "PermissionMissing",
    `Cannot use the key file ${path} of the job step: run Deno with ${flags}, ` +
      "or set TDSM_KEY in the job's script",
    { operation: "join" },
  );
}

/**
 * Lists the folder of a file that is not there yet: clients of NFS remember for a while that it is
 * not, until they see that its folder has changed.
 */
async function lookAnew(folder: string): Promise<void> {
  try {
    for await (const _entry of Deno.readDir(folder)) break;
  } catch {
    // That the file cannot be read says more.
  }
}
