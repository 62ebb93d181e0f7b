/**
 * Processes of `mpiexec` of MPICH, or another launcher with PMI 1: a line protocol on a descriptor,
 * by which they share a table of keys and values. Rank 0 hosts.
 */

import { LineDescriptor } from "../../ffi/descriptor.ts";
import { type Address, formatAddress, isWildcard, parseAddress } from "../address.ts";
import { ExitCode, reasonOf, TdsmError } from "../errors.ts";
import { PMI_ABORT_MS } from "../limits.ts";
import { keyOf } from "../settings/key_text.ts";
import { newKey } from "../settings/key.ts";
import { whyOnlyHere } from "./machine.ts";
import type { Finding, Rendezvous, Seeker } from "./rendezvous.ts";
import { type LauncherVariables, placeBy, variablesOf } from "./variables.ts";

/** The names of what rank 0 puts into the table. */
const ADDRESS = "tdsm-address";
const KEY = "tdsm-key";
/** What stands for no key: a value must have a letter. */
const NO_KEY = "none";

/** The processes of one `mpiexec`. */
export class PmiRendezvous implements Rendezvous {
  readonly #variables = variablesOf("pmi");

  /**
   * Has rank 0 host. The others wait until all have come, and rank 0 listens.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} `PermissionMissing`; `InvalidOption` where PMI's variables are no use, or
   * the launcher does not answer as it should; or `NoDirectory` when the time is up.
   */
  async find({ settings, giveUpAtMs }: Seeker): Promise<Finding> {
    const variables = this.#variables;
    const place = placeBy("pmi", variables);
    using stack = new DisposableStack();
    const descriptor = variables.number("PMI_FD");
    const table = stack.use(await PmiTable.open(descriptor, variables, giveUpAtMs));
    if (place.rank > 0) {
      await table.meet();
      const directory = parseAddress(await table.get(ADDRESS), 0);
      const key = await table.get(KEY);
      await table.end();
      const isLocal = directory.hostname === LOCAL;
      const found = { key: key === NO_KEY ? undefined : keyOf(key), plain: isLocal };
      return { kind: "join", directories: [directory], place, ...found };
    }
    const host = this.#host(place.nodeCount);
    const makesKey = settings.key === undefined && !settings.insecure;
    const key = makesKey ? newKey() : undefined;
    // From here on it is for `withdraw` to end the table.
    stack.move();
    return {
      kind: "host",
      place,
      address: host === LOCAL ? undefined : "0.0.0.0",
      key: key === undefined ? undefined : keyOf(key),
      plain: host === LOCAL,
      publish: async ({ hostname, port }: Address) => {
        const address = { hostname: isWildcard(hostname) ? host : hostname, port };
        await table.put(ADDRESS, formatAddress(address));
        await table.put(KEY, key ?? NO_KEY);
        await table.meet();
        await table.end();
      },
      withdraw: () => Promise.resolve(table.abortSoon()),
    };
  }

  /** The name by which `mpiexec` has reached this machine; loopback where it is the only one. */
  #host(nodeCount: number): string {
    const variables = this.#variables;
    if (variables.number("MPI_LOCALNRANKS", 1) === nodeCount) return LOCAL;
    const name = variables.text("MPIR_CVAR_CH3_INTERFACE_HOSTNAME");
    const why = whyOnlyHere(name);
    if (why !== undefined) throw variables.wrong(why);
    return name;
  }
}

const LOCAL = "127.0.0.1";

/** The table that the processes share. */
class PmiTable implements Disposable {
  readonly #lines: LineDescriptor;
  readonly #variables: LauncherVariables;
  readonly #giveUpAtMs: number;
  #name = "";
  #isOpen = true;

  private constructor(lines: LineDescriptor, variables: LauncherVariables, giveUpAtMs: number) {
    this.#lines = lines;
    this.#variables = variables;
    this.#giveUpAtMs = giveUpAtMs;
  }

  /**
   * Greets the launcher.
   *
   * @param descriptor Where it listens.
   * @param variables For errors.
   * @param giveUpAtMs Until when to wait for its answers, by `performance.now()`.
   * @returns The table.
   */
  static async open(
    descriptor: number,
    variables: LauncherVariables,
    giveUpAtMs: number,
  ): Promise<PmiTable> {
    const table = new PmiTable(new LineDescriptor(descriptor), variables, giveUpAtMs);
    try {
      await table.#ask("init", "response_to_init", "pmi_version=1 pmi_subversion=1");
      table.#name = valueIn(await table.#ask("get_my_kvsname", "my_kvsname"), "kvsname");
      return table;
    } catch (error) {
      table[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) this.#lines[Symbol.dispose]();
    this.#isOpen = false;
  }

  /** Puts a value without spaces into the table. It is there for those that meet afterwards. */
  async put(key: string, value: string): Promise<void> {
    await this.#ask("put", "put_result", `kvsname=${this.#name} key=${key} value=${value}`);
  }

  /** Gets a value that was put before all have met. */
  async get(key: string): Promise<string> {
    const answer = await this.#ask("get", "get_result", `kvsname=${this.#name} key=${key}`);
    return valueIn(answer, "value");
  }

  /** Waits until all processes have come here. */
  async meet(): Promise<void> {
    await this.#ask("barrier_in", "barrier_out");
  }

  /**
   * Takes leave of the launcher: a process that ends without this has failed, for the launcher.
   */
  async end(): Promise<void> {
    await this.#ask("finalize", "finalize_ack");
    this[Symbol.dispose]();
  }

  /**
   * Has the launcher end all processes if this one, which can go on no more, does not end by
   * itself: the others wait for it. The launcher ends this one at once, so first it has time to say
   * why. Nothing happens once it has taken leave.
   */
  abortSoon(): void {
    if (!this.#isOpen) return;
    const timer = setTimeout(() => {
      try {
        this.#lines.write(`cmd=abort exitcode=${ExitCode.Node}`);
      } catch {
        // The launcher has ended, and the others with it.
      }
      this[Symbol.dispose]();
    }, PMI_ABORT_MS);
    Deno.unrefTimer(timer);
  }

  async #ask(command: string, answer: string, fields = ""): Promise<string> {
    const variables = this.#variables;
    let line: string | undefined;
    try {
      this.#lines.write(`cmd=${command} ${fields}`.trimEnd());
      line = await this.#lines.read(this.#giveUpAtMs - performance.now());
    } catch (cause) {
      throw variables.wrong(`nobody speaks PMI 1 on PMI_FD (${reasonOf(cause)})`, cause);
    }
    if (line === undefined) {
      const message =
        `Cannot find the directory by PMI: the launcher has not answered ${command} ` +
        "in time, as where not all processes have come. Wait longer with --join-timeout";
      throw new TdsmError("NoDirectory", message, { operation: "join" });
    }
    const rc = / rc=(\S+)/.exec(line)?.[1] ?? "0";
    if (line.split(" ", 1)[0] === `cmd=${answer}` && rc === "0") return line;
    throw variables.wrong(`the launcher answers ${command} with ${JSON.stringify(line)}`);
  }
}

/** The value of a field in an answer. */
function valueIn(line: string, field: string): string {
  return new RegExp(` ${field}=(\\S+)`).exec(line)?.[1] ?? "";
}
