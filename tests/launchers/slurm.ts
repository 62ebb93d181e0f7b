/** Tasks of a real Slurm find each other. Run by `./tdsm test:launchers`, as root. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";
import { testsWith } from "./needs.ts";
import { assertEnded, assertPlaces, placesProgram } from "./places.ts";
import { SlurmCluster } from "./slurm_cluster.ts";

const test = testsWith(["slurmd", "munged", "ip"]);

test("Slurm: tasks of srun and of sbatch find each other, on one machine and on two", async (t) => {
  await using slurm = await SlurmCluster.start();
  await using cluster = new ProcessCluster();
  const { folder: cwd } = slurm;
  const files = [`--allow-read=${cwd}`, `--allow-write=${cwd}`];
  const srun = (name: string, words: string[], args = placesProgram(files), env = {}) =>
    cluster.spawn(name, { cwd, args, env, prefix: slurm.command("srun", "--quiet", ...words) });
  const keys = () => [...Deno.readDirSync(cwd)].filter(({ name }) => name.endsWith(".key"));

  await t.step("srun -n 4, on one machine", async () => {
    assertEnded(4, await srun("srun", ["-n", "4", "-N", "1"]).exit());
  });

  await t.step("srun -n 4 -N 2, on two machines, with a key that nobody typed", async () => {
    assertEnded(4, await srun("srun", ["-n", "4", "-N", "2"]).exit());
    assertEquals(keys().map(({ name }) => name), ["munge.key"]);
  });

  await t.step("with TDSM_KEY no file is needed", async () => {
    const env = { TDSM_KEY: new Uint8Array(32).fill(1).toBase64() };
    assertEnded(4, await srun("srun", ["-n", "4", "-N", "2"], placesProgram(), env).exit());
  });

  await t.step("jobs at the same time do not mix", async () => {
    const runs = [3, 4, 5].map((tasks) =>
      srun(`srun ${tasks}`, ["--overcommit", "--oversubscribe", "-n", `${tasks}`, "-N", "2"])
    );
    const exits = await Promise.all(runs.map((run) => run.exit()));
    for (const [index, exit] of exits.entries()) assertEnded(3 + index, exit);
  });

  await t.step("sbatch: a script whose two steps run at the same time", async () => {
    const deno = [Deno.execPath(), ...placesProgram(files)].join(" ");
    const step = (tasks: number, out: string) =>
      `srun --exact -n ${tasks} -N 2 --output=${cwd}/${out} ${deno}`;
    const script = `#!/bin/sh\n${step(3, "a")} &\n${step(4, "b")} &\nwait\n`;
    await Deno.writeTextFile(`${cwd}/job`, script);
    const words = ["sbatch", "--wait", "-n", "8", "-N", "2", `--output=${cwd}/out`, `${cwd}/job`];
    const [command, ...args] = slurm.command(...words);
    const { success } = await new Deno.Command(command, { args, cwd, stdout: "null" }).output();
    assert(success, await Deno.readTextFile(`${cwd}/out`));
    assertPlaces(3, await Deno.readTextFile(`${cwd}/a`));
    assertPlaces(4, await Deno.readTextFile(`${cwd}/b`));
  });

  await t.step("a script of sbatch itself is no task: it hosts as without Slurm", async () => {
    const doctor = `${Deno.execPath()} run --allow-ffi --allow-net --allow-env mod.ts --doctor`;
    await Deno.writeTextFile(`${cwd}/job`, `#!/bin/sh\ncd ${Deno.cwd()} && ${doctor}\n`);
    const words = ["sbatch", "--wait", "-n", "2", `--output=${cwd}/out`, `${cwd}/job`];
    const [command, ...args] = slurm.command(...words);
    await new Deno.Command(command, { args, cwd, stdout: "null" }).output();
    assertStringIncludes(await Deno.readTextFile(`${cwd}/out`), "no launcher is seen");
  });

  await t.step("a permission that is missing is named, by every task", async () => {
    const { code, stderr } = await srun("srun", ["-n", "2"], placesProgram()).exit();
    assertEquals(code, 2);
    assertStringIncludes(stderr, `run Deno with --allow-read=${cwd} --allow-write=${cwd}`);
  });
});
