/**
 * The machine that a run was made on, whether it had time for it, and what its kernel says of a
 * process.
 */

import { ZIG_VERSION } from "../zig/build.ts";

/** What numbers depend on. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly deno: string;
  readonly zig: string;
  /** When the run began, in UTC. */
  readonly date: string;
}

/** How busy the machine was with other things during a run. */
export interface Busyness {
  /** The share of all cores that this run used, 0 to 1. */
  readonly own: number;
  /** The share that other processes used. */
  readonly others: number;
  /** The share that the machine's host took away. */
  readonly stolen: number;
  /** Whether that is too much for the numbers to be trusted. */
  readonly tooBusy: boolean;
}

/** The most that others may use, and that may be stolen, as shares of all cores. */
const OTHERS_MOST = 0.05;
const STOLEN_MOST = 0.02;

/** @returns This machine. */
export function machine(): Machine {
  const cpu = /^model name\s*: (.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"));
  return {
    cores: navigator.hardwareConcurrency,
    cpu: cpu?.[1] ?? Deno.build.arch,
    memoryMiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 20),
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    zig: ZIG_VERSION,
    date: new Date().toISOString(),
  };
}

/** Times since the machine was started, in ticks of the clock. */
interface Ticks {
  /** Of this process and those of its children that have ended. */
  readonly own: number;
  /** Of all processes. */
  readonly used: number;
  readonly stolen: number;
  /** Of all cores, whatever they did. */
  readonly all: number;
}

/** Watches the machine from its making on. */
export class BusyWatch {
  readonly #begin = readTicks();

  /**
   * How busy the machine was so far. To be asked when all processes of the run have ended: only
   * then is their time known to be this run's.
   *
   * @returns The shares.
   */
  end(): Busyness {
    const end = readTicks();
    const share = (name: "own" | "used" | "stolen"): number =>
      (end[name] - this.#begin[name]) / (end.all - this.#begin.all);
    const [own, stolen] = [share("own"), share("stolen")];
    const others = Math.max(share("used") - own, 0);
    return { own, others, stolen, tooBusy: others > OTHERS_MOST || stolen > STOLEN_MOST };
  }
}

function readTicks(): Ticks {
  const total = /^cpu +(.+)$/m.exec(Deno.readTextFileSync("/proc/stat"))![1]!;
  const [user, nice, system, idle, wait, irq, softirq, stolen] = total.split(" ").map(Number);
  const used = user! + nice! + system! + irq! + softirq!;
  // Behind the name in parentheses, which may have spaces: utime, stime, cutime and cstime are 14
  // to 17.
  const self = Deno.readTextFileSync("/proc/self/stat");
  const fields = self.slice(self.lastIndexOf(")") + 2).split(" ").slice(11, 15).map(Number);
  const own = fields.reduce((sum, ticks) => sum + ticks, 0);
  return { own, used, stolen: stolen!, all: used + idle! + wait! + stolen! };
}

/**
 * The time that a process has had a core, of all its threads, also of those that have ended: the
 * sum over `/proc/PID/task` would go down with each of them.
 *
 * @param pid The process.
 * @returns Microseconds.
 * @throws {Error} If there is no such process.
 */
export function cpuTimeUs(pid: number): number {
  using library = openClocks();
  const { clock_getcpuclockid, clock_gettime } = library.symbols;
  const clock = new Int32Array(1);
  const seconds = new BigInt64Array(2);
  if (clock_getcpuclockid(pid, clock) !== 0 || clock_gettime(clock[0]!, seconds) !== 0) {
    throw new Error(`there is no process ${pid}`);
  }
  return Number(seconds[0]) * 1e6 + Number(seconds[1]) / 1000;
}

/** The clocks of processes, of the C library. */
function openClocks() {
  const library = Deno.dlopen("libc.so.6", {
    clock_getcpuclockid: { parameters: ["i32", "buffer"], result: "i32" },
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  });
  return { symbols: library.symbols, [Symbol.dispose]: () => library.close() };
}

/**
 * The memory of a process that is its own: heaps and stacks, and the page tables of all that it
 * maps. The region's pages are not in it: they are memory of a file.
 *
 * @param pid The process.
 * @returns Bytes.
 */
export function privateBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const field = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]);
  return field("RssAnon") + field("VmPTE");
}

/** @returns A port of this machine on which nothing listens for now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
