import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { resolveSettings } from "../settings/settings.ts";
import type { NodeOptions } from "../settings/types.ts";
import { withFolder } from "../../tests/support/folder.ts";
import { withVariables } from "../../tests/support/variables.ts";
import { addressesAt, portsOf } from "./ports.ts";
import type { Finding, Hosting, Joining } from "./rendezvous.ts";
import { SlurmRendezvous } from "./slurm.ts";

/** What Slurm tells task 0 of two on one machine. */
function variablesIn(folder: string): Record<string, string> {
  return {
    SLURM_PROCID: "0",
    SLURM_STEP_NUM_TASKS: "2",
    SLURM_JOB_ID: "7",
    SLURM_STEP_ID: "1",
    SLURM_NODEID: "0",
    SLURM_JOB_NODELIST: "n[1-3]",
    SLURM_STEP_NODELIST: "n2",
    SLURM_SUBMIT_DIR: folder,
  };
}

async function find(
  variables: Readonly<Record<string, string>>,
  options: NodeOptions = {},
  waitMs = 0,
): Promise<Finding> {
  using _variables = withVariables(variables);
  const { settings } = resolveSettings({ rendezvous: "slurm", ...options }, undefined, () => "");
  return await new SlurmRendezvous().find({ settings, giveUpAtMs: performance.now() + waitMs });
}

function refusal(...given: Parameters<typeof find>): Promise<TdsmError> {
  return assertRejects(() => find(...given), TdsmError);
}

Deno.test("portsOf: jobs one after the other, and steps of a job, have no port in common", () => {
  const ports = [[1, 0], [2, 0], [3, 0], [1, 1], [1, 2], [2, 1]].flatMap(([job, step]) =>
    portsOf(job!, step!)
  );
  assertEquals(new Set(ports).size, 6 * 8);
  for (const job of [0, 1499, 1500, 67_043_327]) {
    for (const port of portsOf(job, 4_000_000_000)) assert(port >= 20_000 && port < 32_000);
  }
});

Deno.test("SlurmRendezvous: task 0 hosts and makes the key, the others find both", async () => {
  await withFolder(async (folder) => {
    const variables = variablesIn(folder);
    const host = await find(variables) as Hosting;
    assertEquals([host.kind, host.ports, host.plain], ["host", portsOf(7, 1), true]);
    assertEquals(host.place, { rank: 0, nodeCount: 2 });
    const path = `${folder}/.tdsm-7-1.key`;
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    const other = await find({ ...variables, SLURM_PROCID: "1" }) as Joining;
    assertEquals(other.directories, addressesAt("127.0.0.1", portsOf(7, 1)));
    assertEquals([other.key, other.place], [host.key, { rank: 1, nodeCount: 2 }]);
    await host.withdraw();
    assertEquals([...Deno.readDirSync(folder)], []);
    // A job that is queued again has another key.
    const again = await find({ ...variables, SLURM_RESTART_COUNT: "1" }) as Hosting;
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), [".tdsm-7-1-1.key"]);
    await again.withdraw();
  });
});

Deno.test("SlurmRendezvous: a task of several machines joins the first of its step", async () => {
  const variables = {
    ...variablesIn("/nowhere"),
    SLURM_PROCID: "1",
    SLURM_NODEID: "1",
    SLURM_STEP_NODELIST: "n[2-3]",
  };
  const key = new Uint8Array(32).fill(3);
  const found = await find(variables, { key }) as Joining;
  assertEquals(found.directories[0], { hostname: "n2", port: portsOf(7, 1)[0] });
  // The user's own key counts, and no file is looked at.
  assertEquals([found.key, found.plain], [undefined, false]);
});

Deno.test("SlurmRendezvous: one task alone hosts as without Slurm, and has its rank", async () => {
  const found = await find({ ...variablesIn("/nowhere"), SLURM_STEP_NUM_TASKS: "1" }) as Hosting;
  assertEquals([found.ports, found.place], [[9634], { rank: 0, nodeCount: 1 }]);
  const variables = { ...variablesIn("/nowhere"), SLURM_STEP_NUM_TASKS: "1" };
  for (const port of [0, 7000]) {
    assertEquals((await find(variables, { port }) as Hosting).ports, [port]);
  }
});

Deno.test("SlurmRendezvous: with insecure, steps are kept apart by a key that is no secret", async () => {
  const variables = variablesIn("/nowhere");
  const [a, b] = [
    await find(variables, { insecure: true }),
    await find({ ...variables, SLURM_STEP_ID: "2" }, { insecure: true }),
  ];
  assert(a.key!.length === 32 && a.plain);
  assert(a.key!.toHex() !== b.key!.toHex());
});

Deno.test("SlurmRendezvous: what Slurm tells wrong is named", async () => {
  const by = "Cannot find the directory by Slurm:";
  const cases: [changes: Record<string, string>, message: string][] = [
    [{ SLURM_PROCID: "" }, "SLURM_PROCID is not set. Start the program by srun -n 4 …"],
    [{ SLURM_STEP_NUM_TASKS: "" }, "SLURM_STEP_NUM_TASKS is not set. Start the program by srun"],
    [{ SLURM_PROCID: "x" }, 'SLURM_PROCID is "x", and must be a whole number'],
    [{ SLURM_PROCID: "2" }, "SLURM_PROCID is 2, of 2 as SLURM_STEP_NUM_TASKS says"],
    [
      { SLURM_STEP_NODELIST: "n[1-" },
      'SLURM_STEP_NODELIST cannot be read: "n[1-" is no list of machines such as a,n[01-03,07]',
    ],
    [
      { SLURM_STEP_NODELIST: "localhost,n2" },
      "localhost is 127.0.0.1 on that machine itself, where no other one reaches it. Correct",
    ],
    [
      { SLURM_STEP_NODELIST: "no-such-name.invalid,n2" },
      "the machine no-such-name.invalid cannot listen by that name",
    ],
    [{ SLURM_SUBMIT_DIR: "/no/such/folder" }, "cannot write /no/such/folder/.tdsm-7-1.key"],
  ];
  await withFolder(async (folder) => {
    for (const [changes, message] of cases) {
      const error = await refusal({ ...variablesIn(folder), ...changes });
      assertEquals(error.code, "InvalidOption");
      assertStringIncludes(error.message, `${by} ${message}`);
    }
    const task = { ...variablesIn(folder), SLURM_PROCID: "1" };
    const late = await refusal(task, { joinTimeoutMs: 30 }, 30);
    assertEquals(late.code, "NoDirectory");
    assertStringIncludes(late.message, `task 0 has not written the key of the step to ${folder}/`);
    await Deno.writeTextFile(`${folder}/.tdsm-7-1.key`, "a", { mode: 0o644 });
    assertStringIncludes((await refusal(task)).message, "others can read or change");
    await Deno.chmod(`${folder}/.tdsm-7-1.key`, 0o600);
    assertStringIncludes((await refusal(task)).message, "cannot read the key in");
  });
});

Deno.test({
  name: "SlurmRendezvous: permissions that are missing are named",
  permissions: { env: true, read: true },
  async fn() {
    const error = await refusal(variablesIn("/tmp"));
    assertEquals(error.code, "PermissionMissing");
    assertEquals(
      error.message,
      "Cannot use the key file /tmp/.tdsm-7-1.key of the job step: run Deno with " +
        "--allow-write=/tmp, or set TDSM_KEY in the job's script",
    );
  },
});

Deno.test({
  name: "SlurmRendezvous: without --allow-env nothing prompts",
  permissions: {},
  async fn() {
    const { settings } = resolveSettings({ rendezvous: "slurm" }, undefined, () => "");
    const finding = new SlurmRendezvous().find({ settings, giveUpAtMs: 0 });
    const error = await assertRejects(() => finding, TdsmError);
    assertEquals(
      error.message,
      "Cannot read SLURM_PROCID, by which Slurm tells where the directory is: " +
        "run Deno with --allow-env",
    );
  },
});
