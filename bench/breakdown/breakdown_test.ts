import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { findMisses, type Miss } from "./chain.ts";
import { readEvents } from "./events.ts";
import { STAGES, stages, sumUp } from "./stages.ts";

/** Two misses of a page that its home had alone, between lines of processes that have no part in them. */
const TWO_MISSES = Deno.readTextFileSync(new URL("testdata/two_misses.txt", import.meta.url));
const PARTIES = { asker: 28160, owner: 28152 };

/** The misses of which no step is missing. */
function wholeMisses(text: string): Miss[] {
  return findMisses(readEvents(text), PARTIES).filter((miss) => miss !== undefined);
}

Deno.test("breakdown: every kind of line is read", () => {
  const line = (event: string) => ` V8 Worker 7/8 [001]  12.000000034:  ${event}`;
  const where = { ns: 12_000_000_034, pid: 7, tid: 8 };
  const lines: [string, object | undefined][] = [
    ["exceptions:page_fault_user: address=0x7f ip=0x7f error_code=0x4", { kind: "fault" }],
    ["syscalls:sys_enter_ioctl: fd: 0x1f, cmd: 0xc018aa06, arg: 0x7f", {
      kind: "enter",
      call: "ioctl",
      detail: 0xc018aa06,
    }],
    ["syscalls:sys_enter_sendto: fd: 0x1c, buff: 0x7f, len: 0x0000002c, flags: 0x00004000", {
      kind: "enter",
      call: "sendto",
      detail: 44,
    }],
    ["syscalls:sys_exit_read: 0xfffffffffffffff5", { kind: "exit", call: "read", result: -11 }],
    ["sched:sched_waking: comm=deno 2 pid=9 prio=120 target_cpu=001", {
      kind: "waking",
      thread: 9,
    }],
    ["sched:sched_switch: prev_comm=a prev_pid=8 prev_state=R ==> next_comm=b next_pid=9", {
      kind: "switch",
      thread: 9,
    }],
    ["sched:sched_stat_runtime: comm=deno pid=9", undefined],
  ];
  for (const [text, what] of lines) {
    assertEquals(
      readEvents(line(text)) as object[],
      what === undefined ? [] : [{ ...where, ...what }],
    );
  }
  assertEquals(readEvents("# a comment\n\nLOST 12 events!\n"), []);
});

Deno.test("breakdown: events are in order of time, whatever the order of the lines", () => {
  const lines = TWO_MISSES.split("\n");
  assertEquals(readEvents(lines.toReversed().join("\n")).length, readEvents(TWO_MISSES).length);
  const times = readEvents(lines.toReversed().join("\n")).map(({ ns }) => ns);
  assertEquals(times, times.toSorted((a, b) => a - b));
});

Deno.test("breakdown: each miss is followed from its fault to its thread", () => {
  const misses = wholeMisses(TWO_MISSES);
  assertEquals(misses.length, 2);
  const times = stages(misses[0]!, 105);
  // As subtracted by hand from the recording.
  const expected: number[] = [];
  expected.push(0, 2.714, 4.417, 6.159, 9.444, 13.070, 5.277, 2.734, 3.806);
  expected.push(6.720, 9.494, 13.571, 5.818, 2.424, 15.463, 3.889);
  assertEquals(times.length, STAGES.length);
  times.forEach((us, stage) => assertAlmostEquals(us, expected[stage]!, 0.002, STAGES[stage]));
  assertAlmostEquals(times.reduce((sum, us) => sum + us), 105, 0.001);
});

Deno.test("breakdown: a miss of which a step is missing is left out", () => {
  const lines = TWO_MISSES.trimEnd().split("\n");
  const needed = /page_fault_user|exit_read:|sendto|recvfrom|enter_ioctl: .*aa07|waking/;
  let dropped = 0;
  // Of the last miss, so that no other gives a step instead.
  for (let index = lines.length / 2 | 0; index < lines.length; index++) {
    if (!needed.test(lines[index]!)) continue;
    const found = wholeMisses(lines.toSpliced(index, 1).join("\n"));
    const whole = found.every((miss) => stages(miss, 1000).every((us) => us >= 0));
    assert(found.length < 2 || whole, lines[index]);
    if (found.length < 2) dropped++;
  }
  assert(dropped >= 6, `only ${dropped} kinds of steps were missed`);
});

Deno.test("breakdown: what a miss need not do takes no time", () => {
  const without = TWO_MISSES.split("\n").filter((line) => !/epoll_wait|c018aa06/.test(line));
  const misses = wholeMisses(without.join("\n"));
  assertEquals(misses.length, 2);
  const times = stages(misses[0]!, 105);
  const at = (name: typeof STAGES[number]) => times[STAGES.indexOf(name)]!;
  assertEquals(at("→ owner's recvfrom returns"), 0);
  assertEquals(at("UFFDIO_WRITEPROTECT"), 0);
  assertAlmostEquals(times.reduce((sum, us) => sum + us), 105, 0.001);
});

Deno.test("breakdown: shares are of all time but that of the slowest tenth", () => {
  const usual = STAGES.map((_, stage) => stage === 0 ? 3 : stage === 1 ? 1 : 0);
  const slow = STAGES.map(() => 1000);
  const found = sumUp([...Array.from({ length: 9 }, () => usual), slow]);
  assertEquals(found.stages.slice(0, 3).map(({ share }) => share), [0.75, 0.25, 0]);
  assertEquals([found.p50, found.p90, found.misses], [4, 4, 10]);
  assertThrows(() => sumUp([]), RangeError);
});
