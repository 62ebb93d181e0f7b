/** Memory cgroups for tests: what the kernel ends a process for that takes too much. */

/** The root of each version of cgroups, and its files. */
const VERSIONS = [
  {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
  },
  { root: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak", events: "memory.events" },
] as const;

/** A cgroup with a bound of memory. No swap is counted on: most machines of tests have none. */
export class MemoryGroup implements Disposable {
  static #made = 0;
  readonly #path: string;
  readonly #version: typeof VERSIONS[number];

  private constructor(path: string, version: typeof VERSIONS[number]) {
    this.#path = path;
    this.#version = version;
  }

  /**
   * Makes a cgroup.
   *
   * @param bytes The most memory that its processes may use together.
   * @returns The cgroup.
   * @throws {Error} Where none can be made.
   */
  static make(bytes: number): MemoryGroup {
    let failure: unknown;
    for (const version of VERSIONS) {
      const path = `${version.root}/tdsm-test-${Deno.pid}-${++MemoryGroup.#made}`;
      try {
        Deno.mkdirSync(path);
      } catch (error) {
        failure = error;
        continue;
      }
      try {
        Deno.writeTextFileSync(`${path}/${version.limit}`, String(bytes));
        return new MemoryGroup(path, version);
      } catch (error) {
        failure = error;
        Deno.removeSync(path);
      }
    }
    throw new Error("Cannot make a memory cgroup", { cause: failure });
  }

  /** Why none can be made here; empty when one can. */
  static obstacle(): string {
    try {
      MemoryGroup.make(2 ** 30)[Symbol.dispose]();
      return "";
    } catch {
      return "no memory cgroup can be made here";
    }
  }

  /** The words before a command by which it runs in this cgroup. */
  get prefix(): string[] {
    return ["sh", "-c", `echo $$ > ${this.#path}/cgroup.procs && exec "$0" "$@"`];
  }

  /** How many processes the kernel has killed because they took too much. */
  get killed(): number {
    const events = Deno.readTextFileSync(`${this.#path}/${this.#version.events}`);
    return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? NaN);
  }

  /** The most memory that was in use, in bytes. */
  get peakBytes(): number {
    return Number(Deno.readTextFileSync(`${this.#path}/${this.#version.peak}`));
  }

  /** Removes the cgroup; its processes must have ended. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.#path);
  }
}
