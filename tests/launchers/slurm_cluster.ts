/** A real Slurm on two machines of a test: its controller, a daemon on each, and munge. */

import { TwoMachines } from "./two_machines.ts";

/** A Slurm cluster. */
export class SlurmCluster implements AsyncDisposable {
  readonly #machines: TwoMachines;
  readonly #daemons: Deno.ChildProcess[] = [];
  /** A folder that both machines see. */
  readonly folder: string;

  private constructor(machines: TwoMachines) {
    this.#machines = machines;
    this.folder = machines.folder;
  }

  /** Starts it; resolves when both machines are ready for jobs. */
  static async start(): Promise<SlurmCluster> {
    const slurm = new SlurmCluster(await TwoMachines.make());
    try {
      await slurm.#start();
      return slurm;
    } catch (error) {
      await slurm[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { folder } = this;
    for (const name of ["state", "spool"]) await Deno.mkdir(`${folder}/${name}`);
    await Deno.chmod(folder, 0o755);
    const key = crypto.getRandomValues(new Uint8Array(128));
    await Deno.writeFile(`${folder}/munge.key`, key, { mode: 0o400 });
    await Deno.writeTextFile(`${folder}/cgroup.conf`, "CgroupPlugin=cgroup/v1\n");
    await Deno.writeTextFile(`${folder}/slurm.conf`, this.#config());
    const files = ["socket", "key-file", "pid-file", "log-file", "seed-file"];
    const munge = files.map((name) => `--${name}=${folder}/munge.${name.split("-")[0]}`);
    this.#spawn("munged", "--force", "--foreground", ...munge);
    await this.#until("munge", () => isThere(`${folder}/munge.socket`));
    this.#spawn(...this.#machines.on(1), "slurmctld", "-D", "-f", `${folder}/slurm.conf`);
    for (const number of [1, 2]) {
      this.#spawn(...this.#machines.on(number), "slurmd", "-D", "-f", `${folder}/slurm.conf`);
    }
    await this.#until("sinfo: both machines idle", async () => {
      const [command, ...args] = this.command("sinfo", "-h", "-o", "%D %T");
      const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
      return new TextDecoder().decode(stdout) === "2 idle\n";
    });
  }

  #config(): string {
    const { folder } = this;
    return [
      "ClusterName=tdsm",
      "SlurmctldHost=n1",
      "SlurmUser=root",
      "SlurmdUser=root",
      `AuthInfo=socket=${folder}/munge.socket`,
      `StateSaveLocation=${folder}/state`,
      `SlurmdSpoolDir=${folder}/spool/%n`,
      `SlurmctldPidFile=${folder}/slurmctld.pid`,
      `SlurmdPidFile=${folder}/slurmd-%n.pid`,
      `SlurmctldLogFile=${folder}/slurmctld.log`,
      `SlurmdLogFile=${folder}/slurmd-%n.log`,
      "ProctrackType=proctrack/linuxproc",
      "TaskPlugin=task/none",
      "JobAcctGatherType=jobacct_gather/none",
      "SelectType=select/cons_tres",
      "SelectTypeParameters=CR_Core",
      "MpiDefault=none",
      "PlugStackConfig=/dev/null",
      // As many tasks as tests want, on however few cores.
      "SlurmdParameters=config_overrides",
      "NodeName=n[1-2] CPUs=16 State=UNKNOWN",
      "PartitionName=all Nodes=ALL Default=YES State=UP",
      "",
    ].join("\n");
  }

  #spawn(command: string, ...args: string[]): void {
    const null_ = "null" as const;
    const streams = { stdin: null_, stdout: null_, stderr: null_ };
    this.#daemons.push(new Deno.Command(command, { args, ...streams }).spawn());
  }

  /** Looks again and again, for a minute at most; daemons tell nobody that they are ready. */
  async #until(what: string, look: () => Promise<boolean>): Promise<void> {
    const giveUpAt = performance.now() + 60_000;
    while (!await look()) {
      if (performance.now() > giveUpAt) throw new Error(`${what}: nothing within a minute`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /**
   * A command of Slurm's as it is run on machine `n1`.
   *
   * @param words The command, and its arguments.
   * @returns All of its words.
   */
  command(...words: string[]): [string, ...string[]] {
    const environment = `SLURM_CONF=${this.folder}/slurm.conf`;
    return [...this.#machines.on(1), "env", environment, ...words];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.#daemons.toReversed()) {
      try {
        daemon.kill("SIGTERM");
      } catch {
        // It has ended, and its log says why.
      }
      await daemon.status;
    }
    await this.#machines[Symbol.asyncDispose]();
  }
}

function isThere(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}
