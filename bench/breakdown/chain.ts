/** Follows each miss through the events of both processes. */

import type { TraceEvent } from "./events.ts";

/** Who takes part. */
export interface Parties {
  /** The process whose thread touches pages. */
  readonly asker: number;
  /** The process that has the pages. */
  readonly owner: number;
}

/** When each step of a miss was done, in nanoseconds. What a miss need not have may be missing. */
export interface Miss {
  readonly fault: number;
  /** A thread that waited in the kernel for the engine left ppoll. */
  readonly noticed?: number;
  /** The engine has read the fault. */
  readonly read: number;
  readonly request: Span;
  /** The owner's epoll_wait returned. */
  readonly requestReady?: number;
  /** The owner's recvfrom returned. */
  readonly requestThere: number;
  /** The owner write-protects the page. */
  readonly protect?: Span;
  readonly answer: Span;
  /** The asker's epoll_wait returned. */
  readonly answerReady?: number;
  /** The asker's recvfrom returned. */
  readonly answerThere: number;
  /** UFFDIO_CONTINUE was entered. */
  readonly install: number;
  /** In it, the thread was made ready. */
  readonly woken: number;
  /** The thread has a core. */
  readonly running: number;
  /** How many events were recorded from the fault on, in both processes. */
  readonly events: number;
}

/** From when to when a system call ran. */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

const UFFD_MESSAGE_BYTES = 32;
const UFFDIO_WRITEPROTECT = 0xc018aa06;
const UFFDIO_CONTINUE = 0xc020aa07;
/** A message as long as a page has the page in it. */
const PAGE_BYTES = 4096;

/** The events of a recording, to be searched from any moment forwards or backwards. */
class Events {
  constructor(readonly all: readonly TraceEvent[]) {}

  /** The first from an index on that is looked for, and before `endNs`. */
  first(from: number, is: (event: TraceEvent) => boolean, endNs = Infinity): number | undefined {
    for (let index = from; index < this.all.length; index++) {
      const event = this.all[index]!;
      if (event.ns > endNs) return undefined;
      if (is(event)) return index;
    }
    return undefined;
  }

  /** The last before an index that is looked for, and not before `beginNs`. */
  last(from: number, is: (event: TraceEvent) => boolean, beginNs = -Infinity): number | undefined {
    for (let index = from - 1; index >= 0; index--) {
      const event = this.all[index]!;
      if (event.ns < beginNs) return undefined;
      if (is(event)) return index;
    }
    return undefined;
  }

  ns(index: number): number {
    return this.all[index]!.ns;
  }

  /** The system call that is entered at an index. */
  span(index: number): Span | undefined {
    const entered = this.all[index]!;
    if (entered.kind !== "enter") return undefined;
    const { tid, call, ns } = entered;
    const end = this.first(index, exits(tid, call));
    return end === undefined ? undefined : { begin: ns, end: this.ns(end) };
  }
}

function enters(tid: number, call: string, detail: (value: number) => boolean = () => true) {
  return (event: TraceEvent): boolean =>
    event.kind === "enter" && event.tid === tid && event.call === call && detail(event.detail);
}

function exits(tid: number, call: string, least = -Infinity) {
  return (event: TraceEvent): boolean =>
    event.kind === "exit" && event.tid === tid && event.call === call && event.result >= least;
}

/**
 * Finds the misses of single pages.
 *
 * @param events The events, in order of time.
 * @param parties The two processes.
 * @returns A miss for each fault for which another node was asked, in order of time; `undefined` where
 *   a step is missing.
 */
export function findMisses(
  events: readonly TraceEvent[],
  { asker, owner }: Parties,
): (Miss | undefined)[] {
  const recorded = new Events(
    events.filter(({ pid, kind }) =>
      pid === asker || pid === owner || kind === "switch" || kind === "waking"
    ),
  );
  const misses: (Miss | undefined)[] = [];
  recorded.all.forEach((event, index) => {
    const isRead = event.kind === "exit" && event.call === "read" && event.pid === asker &&
      event.result === UFFD_MESSAGE_BYTES;
    if (isRead && asks(recorded, index)) misses.push(follow(recorded, index, owner));
  });
  return misses;
}

/** Whether something was sent for the fault that was read at an index, before anything was installed. */
function asks(events: Events, read: number): boolean {
  const { tid } = events.all[read]!;
  const next = events.first(
    read + 1,
    (event) =>
      event.tid === tid && (event.kind === "enter" || event.kind === "exit") &&
      ["ioctl", "sendto", "read"].includes(event.call),
  );
  const event = next === undefined ? undefined : events.all[next]!;
  return event?.kind === "enter" && event.call === "sendto";
}

/** The miss whose fault was read at an index. */
function follow(events: Events, read: number, owner: number): Miss | undefined {
  const { tid, pid, ns: readNs } = events.all[read]!;
  const nextRead = events.first(read + 1, exits(tid, "read", UFFD_MESSAGE_BYTES));
  const endNs = nextRead === undefined ? Infinity : events.ns(nextRead);
  const install = events.first(read, enters(tid, "ioctl", (cmd) => cmd === UFFDIO_CONTINUE), endNs);
  const sent = events.first(read, enters(tid, "sendto"), endNs);
  if (install === undefined || sent === undefined) return undefined;
  const waking = events.first(install, (it) => it.kind === "waking" && it.tid === tid, endNs);
  const woken = waking === undefined ? undefined : events.all[waking]!;
  if (waking === undefined || woken?.kind !== "waking") return undefined;
  const running = events.first(
    waking,
    (it) => it.kind === "switch" && it.thread === woken.thread,
    endNs,
  );
  const fault = events.last(read, (it) => it.kind === "fault" && it.tid === woken.thread);
  const there = events.last(install, exits(tid, "recvfrom", 1), readNs);
  const request = events.span(sent);
  const served = serve(events, sent, install, owner);
  if (
    running === undefined || fault === undefined || there === undefined ||
    request === undefined || served === undefined
  ) return undefined;
  const faultNs = events.ns(fault);
  const left = (it: TraceEvent): boolean =>
    it.kind === "exit" && it.call === "ppoll" && it.pid === pid;
  const noticed = events.last(read, left, faultNs);
  const ready = events.last(there, exits(tid, "epoll_wait", 1), served.answer.begin);
  return {
    fault: faultNs,
    ...(noticed === undefined ? {} : { noticed: events.ns(noticed) }),
    read: readNs,
    request,
    ...served,
    ...(ready === undefined ? {} : { answerReady: events.ns(ready) }),
    answerThere: events.ns(there),
    install: events.ns(install),
    woken: woken.ns,
    running: events.ns(running),
    events: running - fault,
  };
}

/** What the owner does of a miss. */
function serve(
  events: Events,
  sent: number,
  install: number,
  owner: number,
): Pick<Miss, "requestReady" | "requestThere" | "protect" | "answer"> | undefined {
  const sentNs = events.ns(sent);
  const answers = (it: TraceEvent): boolean =>
    it.pid === owner && it.kind === "enter" && it.call === "sendto" && it.detail >= PAGE_BYTES;
  const answered = events.first(sent, answers, events.ns(install));
  const answer = answered === undefined ? undefined : events.span(answered);
  if (answered === undefined || answer === undefined) return undefined;
  const { tid } = events.all[answered]!;
  const there = events.last(answered, exits(tid, "recvfrom", 1), sentNs);
  if (there === undefined) return undefined;
  const ready = events.last(there, exits(tid, "epoll_wait", 1), sentNs);
  const protects = enters(tid, "ioctl", (cmd) => cmd === UFFDIO_WRITEPROTECT);
  const protect = events.first(there, protects, answer.begin);
  const span = protect === undefined ? undefined : events.span(protect);
  return {
    ...(ready === undefined ? {} : { requestReady: events.ns(ready) }),
    requestThere: events.ns(there),
    ...(span === undefined ? {} : { protect: span }),
    answer,
  };
}
