/** Records what threads do, by `perf`. */

import { readEvents, type TraceEvent } from "./events.ts";

/** The name of a kind of event, and what of it is wanted; all of it if nothing is said. */
type Filtered = readonly [name: string, filter?: string | undefined];

/**
 * What is recorded of all processes, and of which events: each costs the process that causes it about
 * a microsecond, so looks in vain are left out.
 */
const SYSCALLS: readonly Filtered[] = [
  ["sys_exit_read", "ret == 32"],
  ["sys_enter_sendto"],
  ["sys_exit_sendto"],
  ["sys_exit_epoll_wait", "ret > 0"],
  ["sys_exit_ppoll", "ret > 0"],
  ["sys_exit_recvfrom", "ret > 0"],
  ["sys_enter_ioctl", "cmd == 0xc018aa06 || cmd == 0xc020aa07"],
  ["sys_exit_ioctl"],
];

/** Says why nothing can be recorded here. */
export class CannotRecord extends Error {
  override name = "CannotRecord";
}

/**
 * Makes sure that there is a `perf` that may record.
 *
 * @throws {CannotRecord} What is missing.
 */
export async function checkPerf(): Promise<void> {
  const folder = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].find((path) =>
    exists(`${path}/events/syscalls/sys_enter_sendto`) &&
    exists(`${path}/events/exceptions/page_fault_user`)
  );
  if (folder === undefined) {
    throw new CannotRecord(
      "Cannot record: no tracepoints in /sys/kernel/tracing; this needs root, and a kernel with " +
        "CONFIG_FTRACE_SYSCALLS (mount -t tracefs none /sys/kernel/tracing)",
    );
  }
  const args = ["record", "-q", "-a", "-e", "sched:sched_waking", "-o", "/dev/null", "true"];
  const tried = await perf(args).catch((cause) => {
    throw new CannotRecord("Cannot record: no perf on PATH (package linux-perf)", { cause });
  });
  if (tried.success) return;
  const said = new TextDecoder().decode(tried.stderr).trim();
  throw new CannotRecord(`Cannot record: perf fails, it says: ${said}`);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function perf(args: readonly string[]): Promise<Deno.CommandOutput> {
  return await new Deno.Command("perf", { args: [...args], stdout: "piped", stderr: "piped" })
    .output();
}

/** The threads that a process has. */
function threads(pid: number): number[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => Number(name));
}

function isAny(field: string, values: readonly number[]): string {
  return values.map((value) => `${field} == ${value}`).join(" || ");
}

/**
 * Records while something is done.
 *
 * @param asker The process whose faults and wake-ups are recorded.
 * @param action What is done; recording has begun when it is called.
 * @returns What it resolves with, and the events of all processes meanwhile.
 * @throws {CannotRecord} When perf fails.
 */
export async function record<Value>(
  asker: number,
  action: () => Promise<Value>,
): Promise<{ value: Value; events: TraceEvent[] }> {
  const folder = await Deno.makeTempDir({ prefix: "tdsm-breakdown-" });
  try {
    const data = `${folder}/data`;
    const value = await recordInto(folder, data, asker, action);
    const fields = ["-F", "comm,pid,tid,cpu,time,event,trace", "--ns"];
    const script = await perf(["script", "-i", data, ...fields]);
    if (!script.success) throw failed(script.stderr);
    return { value, events: readEvents(new TextDecoder().decode(script.stdout)) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function failed(stderr: Uint8Array): CannotRecord {
  return new CannotRecord(`perf failed, it says: ${new TextDecoder().decode(stderr).trim()}`);
}

function eventArguments(asker: number): string[] {
  const its = threads(asker);
  const events: Filtered[] = [
    ["exceptions:page_fault_user", isAny("common_pid", its)],
    ["sched:sched_waking", isAny("pid", its)],
    ["sched:sched_switch", isAny("next_pid", its)],
    ...SYSCALLS.map(([name, filter]) => [`syscalls:${name}`, filter] as Filtered),
  ];
  return events.flatMap(([name, filter]) => [
    "-e",
    name,
    ...(filter === undefined ? [] : ["--filter", filter]),
  ]);
}

async function recordInto<Value>(
  folder: string,
  data: string,
  asker: number,
  action: () => Promise<Value>,
): Promise<Value> {
  const [control, answers] = [`${folder}/control`, `${folder}/answers`];
  await new Deno.Command("mkfifo", { args: [control, answers] }).output();
  // Open for both, so that neither open nor read ends before perf is there.
  using words = await Deno.open(control, { read: true, write: true });
  using said = await Deno.open(answers, { read: true, write: true });
  const child = new Deno.Command("perf", {
    args: [
      ...["record", "-q", "-a", "-B", "-N", "-k", "CLOCK_MONOTONIC", "-m", "1024", "-D", "-1"],
      ...[`--control=fifo:${control},${answers}`, "-o", data],
      ...eventArguments(asker),
    ],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let failure: CannotRecord | undefined;
  const end = child.output().then(async ({ stderr }) => {
    failure = failed(stderr);
    // Whoever waits for an answer of it waits no longer.
    await said.write(new Uint8Array(1));
  });
  const ask = async (word: string): Promise<void> => {
    await words.write(new TextEncoder().encode(`${word}\n`));
    await said.read(new Uint8Array(16));
    if (failure !== undefined) throw failure;
  };
  try {
    await ask("enable");
    const value = await action();
    await ask("disable");
    return value;
  } finally {
    if (failure === undefined) child.kill("SIGINT");
    await end;
  }
}
