/**
 * Two machines on this one: each has a network namespace, a host name and `/etc/hosts` of its own.
 * They share the file system. Needs root, and `ip` of iproute2.
 */

/** Runs a command that has to end well. */
async function must(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  if (success) return;
  throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** Machines `n1` and `n2`, each of which reaches the other one by its name. */
export class TwoMachines implements AsyncDisposable {
  /** A folder that both see. */
  readonly folder: string = Deno.makeTempDirSync({ prefix: "tdsm-machines-" });
  readonly #namespaces = [1, 2].map((number) => `tdsm-${Deno.pid}-${number}`);

  /** Makes them. */
  static async make(): Promise<TwoMachines> {
    const machines = new TwoMachines();
    const [first, second] = machines.#namespaces;
    try {
      for (const name of machines.#namespaces) {
        await must("ip", "netns", "add", name);
        await must("ip", "-n", name, "link", "set", "lo", "up");
      }
      const ends = ["eth0", "netns", first!, "type", "veth", "peer", "name", "eth0"];
      await must("ip", "link", "add", ...ends, "netns", second!);
      for (const [index, name] of machines.#namespaces.entries()) {
        await must("ip", "-n", name, "addr", "add", `10.77.0.${index + 1}/24`, "dev", "eth0");
        await must("ip", "-n", name, "link", "set", "eth0", "up");
      }
      const hosts =
        "127.0.0.1 localhost\n10.77.0.1 n1\n10.77.0.2 n2\n10.77.0.1 both\n10.77.0.2 both\n";
      await Deno.writeTextFile(`${machines.folder}/hosts`, hosts);
      for (const number of [1, 2]) {
        const path = `${machines.folder}/on-n${number}`;
        await Deno.writeTextFile(path, machines.#script(number), { mode: 0o755 });
      }
      await Deno.writeTextFile(`${machines.folder}/ssh`, machines.#ssh(), { mode: 0o755 });
      return machines;
    } catch (error) {
      await machines[Symbol.asyncDispose]();
      throw error;
    }
  }

  #script(number: number): string {
    const inside =
      `mount --bind ${this.folder}/hosts /etc/hosts && hostname n${number} && exec "$@"`;
    const namespace = `/run/netns/${this.#namespaces[number - 1]}`;
    return `#!/bin/sh\nexec nsenter --net=${namespace} unshare --mount --uts sh -c '${inside}' sh "$@"\n`;
  }

  /** What stands for `ssh`: options, a machine, a command. */
  #ssh(): string {
    return `#!/bin/bash\nwhile [[ $1 == -* ]]; do shift; done\nhost=$1; shift\n` +
      `exec ${this.folder}/on-$host sh -c "$*"\n`;
  }

  /**
   * The words before a command that is to run on a machine.
   *
   * @param number 1 or 2.
   * @returns The words.
   */
  on(number: number): [string, ...string[]] {
    return [`${this.folder}/on-n${number}`];
  }

  /** Takes away what connects them. */
  async cut(): Promise<void> {
    await must("ip", "-n", this.#namespaces[1]!, "link", "set", "eth0", "down");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#namespaces) {
      await new Deno.Command("ip", { args: ["netns", "del", name], stderr: "null" }).output();
    }
    await Deno.remove(this.folder, { recursive: true });
  }
}
