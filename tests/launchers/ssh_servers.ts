/** An `sshd` on each of two machines of a test, and what `ssh` needs to reach both. */

import { TwoMachines } from "./two_machines.ts";

/** Machines whose shells `ssh` reaches by a key. */
export class SshServers implements AsyncDisposable {
  readonly machines: TwoMachines;
  readonly #servers: { process: Deno.ChildProcess; printed: Promise<void> }[] = [];

  private constructor(machines: TwoMachines) {
    this.machines = machines;
  }

  /** Starts them; resolves when both listen. */
  static async start(): Promise<SshServers> {
    const servers = new SshServers(await TwoMachines.make());
    try {
      await servers.#start();
      return servers;
    } catch (error) {
      await servers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The words of `ssh` that reach the machines by `n1` and `n2`. */
  get ssh(): string {
    return `ssh -F ${this.machines.folder}/ssh_config`;
  }

  async #start(): Promise<void> {
    const { folder } = this.machines;
    for (const name of ["host", "user"]) {
      const args = ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/${name}_key`];
      await new Deno.Command("ssh-keygen", { args }).output();
    }
    const hostKey = await Deno.readTextFile(`${folder}/host_key.pub`);
    await Deno.writeTextFile(`${folder}/known_hosts`, `n1,n2 ${hostKey}`);
    await Deno.writeTextFile(
      `${folder}/ssh_config`,
      `IdentityFile ${folder}/user_key\nIdentitiesOnly yes\n` +
        `UserKnownHostsFile ${folder}/known_hosts\nStrictHostKeyChecking yes\n`,
    );
    // Where sshd locks itself in until somebody has logged in.
    await Deno.mkdir("/run/sshd", { recursive: true });
    for (const number of [1, 2]) {
      await Deno.writeTextFile(`${folder}/sshd_config${number}`, this.#config(number));
      await this.#listen(number);
    }
  }

  #config(number: number): string {
    const { folder } = this.machines;
    return [
      `ListenAddress 10.77.0.${number}`,
      `HostKey ${folder}/host_key`,
      `AuthorizedKeysFile ${folder}/user_key.pub`,
      "StrictModes no",
      "PasswordAuthentication no",
      "PermitRootLogin prohibit-password",
      "UsePAM no",
      "PidFile none",
      "ClientAliveInterval 1",
      "",
    ].join("\n");
  }

  async #listen(number: number): Promise<void> {
    const [command, ...words] = this.machines.on(number);
    const config = `${this.machines.folder}/sshd_config${number}`;
    const server = new Deno.Command(command, {
      args: [...words, "/usr/sbin/sshd", "-D", "-e", "-f", config],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const printedAll = Promise.withResolvers<void>();
    this.#servers.push({ process: server, printed: printedAll.promise });
    let printed = "";
    const reader = server.stderr.pipeThrough(new TextDecoderStream()).getReader();
    while (!printed.includes("Server listening")) {
      const { value } = await reader.read();
      if (value === undefined) {
        throw new Error(`sshd does not listen:\n${printed}`);
      }
      printed += value;
    }
    void (async () => {
      while ((await reader.read()).value !== undefined);
      printedAll.resolve();
    })();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process, printed } of this.#servers) {
      process.kill();
      // Its sessions print there, too: where a machine was cut off, until they notice.
      await Promise.all([process.status, printed]);
    }
    await this.machines[Symbol.asyncDispose]();
  }
}
