/** What `perf script` prints, as events: the part of it that tells how a page came. */

/** Why a thread entered or left the kernel, or was given a core. Times are of CLOCK_MONOTONIC. */
export type TraceEvent = Where & What;

/** When and in which thread something happened. */
export interface Where {
  /** Nanoseconds. */
  readonly ns: number;
  /** The process and the thread that ran. */
  readonly pid: number;
  readonly tid: number;
}

/** What happened. */
export type What =
  /** The thread touched memory that its page table does not have. */
  | { readonly kind: "fault" }
  /** A system call began; `detail` is the length of a sendto, the request of an ioctl, else 0. */
  | { readonly kind: "enter"; readonly call: string; readonly detail: number }
  /** A system call returned. */
  | { readonly kind: "exit"; readonly call: string; readonly result: number }
  /** Another thread was made ready to run. */
  | { readonly kind: "waking"; readonly thread: number }
  /** A core was given to a thread. */
  | { readonly kind: "switch"; readonly thread: number };

/** Command, process/thread, core, seconds and nanoseconds, event, and what the event says. */
const LINE = /^\s*.+?\s+(\d+)\/(\d+)\s+\[\d+\]\s+(\d+)\.(\d{9}):\s+(\w+:\w+):\s*(.*)$/;

/** The fields that say what an entered system call is for. */
const DETAIL: Readonly<Record<string, RegExp>> = {
  sendto: /\blen: 0x([0-9a-f]+)/,
  ioctl: /\bcmd: 0x([0-9a-f]+)/,
};

/**
 * Reads what `perf script -F comm,pid,tid,cpu,time,event,trace --ns` prints.
 *
 * @param text Its lines.
 * @returns The events in order of time. Lines and events of another form are left out.
 */
export function readEvents(text: string): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, pid, tid, seconds, nanoseconds, name, rest] = match;
    const what = readWhat(name!, rest!);
    if (what === undefined) continue;
    const ns = Number(seconds) * 1e9 + Number(nanoseconds);
    events.push({ ns, pid: Number(pid), tid: Number(tid), ...what });
  }
  return events.sort((a, b) => a.ns - b.ns);
}

function readWhat(name: string, rest: string): What | undefined {
  const call = /^syscalls:sys_(enter|exit)_(\w+)$/.exec(name);
  if (call?.[1] === "enter") {
    const detail = DETAIL[call[2]!]?.exec(rest)?.[1] ?? "0";
    return { kind: "enter", call: call[2]!, detail: parseInt(detail, 16) };
  }
  if (call?.[1] === "exit") {
    // Results are 64 bits of two's complement.
    if (!/^0x[0-9a-f]+$/.test(rest)) return undefined;
    return { kind: "exit", call: call[2]!, result: Number(BigInt.asIntN(64, BigInt(rest))) };
  }
  const number = (pattern: RegExp): number => Number(pattern.exec(rest)?.[1]);
  switch (name) {
    case "exceptions:page_fault_user":
      return { kind: "fault" };
    case "sched:sched_waking":
      return { kind: "waking", thread: number(/\bpid=(\d+)/) };
    case "sched:sched_switch":
      return { kind: "switch", thread: number(/\bnext_pid=(\d+)/) };
    default:
      return undefined;
  }
}
