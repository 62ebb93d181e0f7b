/**
 * One schedule: a cluster whose nodes ask at random for random things, while requests and answers
 * are delayed, nodes die and nodes leave. A seed gives the same schedule again.
 */

import { NODE_ID_MAX, SEMAPHORE_COUNT_MAX } from "../../../runtime/limits.ts";
import { SEMAPHORE_KEY_MADE_MIN } from "../../../runtime/protocol/sync/semaphores.ts";
import {
  type FutexRequest,
  NODE_TICKET_MAX,
  SyncOperation,
  type SyncRequest,
  threadOf,
} from "../../../runtime/protocol/sync/messages.ts";
import {
  SYNC_PARTS,
  Synchronizer,
  type SyncParts,
} from "../../../runtime/protocol/sync/synchronizer.ts";
import { type StuckWaits, SYNC_LIMITS } from "../../../runtime/protocol/sync/desk.ts";
import { Random } from "../coherence/random.ts";
import { SyncCoverage } from "./coverage.ts";
import { fromBytes, SyncNode, THREADS, toBytes } from "./node.ts";
import { type Answer, fail, SyncOracle } from "./oracle.ts";

const kind = "sync";
const KEYS = [0n, 7n, SEMAPHORE_KEY_MADE_MIN + 1n];
/** A semaphore that is filled to the brim, and never emptied. */
const FULL_KEY = 99n;
/** Made keys are looked for up to here: more are never made in one schedule. */
const MADE_MAX = 200;
const NAMES = ["a", "b"];
/** Under which no request is ever made. */
const NO_TICKET = NODE_TICKET_MAX >> 1;
/** As many requests of one node are open at one time. */
const ASKED_MAX = 4;
/** Steps in which whatever is left must come to its end. */
const DRAIN_STEPS_MAX = 10_000;

/** Runs a schedule. */
export class SyncSchedule {
  readonly coverage: SyncCoverage;
  readonly #random: Random;
  readonly #trace: (line: string) => void;
  readonly #nodes: SyncNode[];
  readonly #synchronizer: Synchronizer;
  readonly #oracle: SyncOracle;
  #answers: Answer[] = [];
  #stuck: StuckWaits[] = [];

  /**
   * @param seed The schedule.
   * @param parts What the synchronizer is made of.
   * @param coverage Where to count.
   * @param trace Is told everything that happens.
   */
  constructor(
    seed: number,
    parts: SyncParts = SYNC_PARTS,
    coverage: SyncCoverage = new SyncCoverage(),
    trace: (line: string) => void = () => {},
  ) {
    const random = new Random(seed);
    this.#random = random;
    this.coverage = coverage;
    this.#trace = trace;
    const limits = random.chance(20)
      ? {
        ...SYNC_LIMITS,
        objects: random.between(1, 4),
        objectsOfNode: random.between(1, 4),
        objectsAssured: random.below(2),
        orphans: random.below(3),
        stuckBeats: random.between(1, 2),
        waiting: random.between(1, 6),
        waitingAssured: random.below(2),
      }
      : { ...SYNC_LIMITS, stuckBeats: 1 };
    this.#synchronizer = new Synchronizer(
      {
        reply: (to, reply) => this.#answers.push({ to, reply }),
        tell: (node) => fail(`node ${node} is told of a tree, and there are few nodes`),
        violation: (node, reason) => fail(`node ${node} broke the protocol: ${reason}`),
        stuck: (waits) => this.#stuck.push(waits),
      },
      limits,
      parts,
    );
    this.#oracle = new SyncOracle(this.#synchronizer, limits, this.coverage);
    this.#nodes = Array.from({ length: random.between(2, 5) }, (_, index) => {
      // The last node has the greatest id, and tickets that begin again during the schedule.
      const id = index === 4 ? NODE_ID_MAX : index + 1;
      return new SyncNode(id, index === 4 ? NODE_TICKET_MAX - 15 : 0);
    });
    for (const { id } of this.#nodes) {
      const works = random.chance(80);
      this.#synchronizer.peerJoined(id, works);
      this.#oracle.joined(id, works);
    }
  }

  /** Runs it to its end, and checks that nothing is left. */
  run(): void {
    const steps = this.#random.between(20, 200);
    for (let step = 0; step < steps; step++) this.#step();
    this.#drain();
    this.#sweep();
    const { semaphores, orphans, ...others } = this.#synchronizer.usage;
    const expected = this.#synchronizer.permits(FULL_KEY) > 0 ? 1 : 0;
    const isLeft = semaphores !== expected || orphans > expected ||
      Object.values(others).some((count) => count > 0);
    if (isLeft) fail(`left in memory: ${Deno.inspect({ semaphores, orphans, ...others })}`);
  }

  #step(): void {
    const node = this.#pick(this.#nodes);
    const dice = this.#random.below(100);
    if (dice < 35) this.#deliverRequest(node);
    else if (dice < 62) this.#deliverReply(node);
    else if (dice < 88) this.#ask(node);
    else if (dice < 93) this.#cancel(node);
    else if (dice < 94) this.#setThreads(node);
    else if (dice < 96) this.#beat();
    else if (dice < 97) this.#endThread(node);
    else if (dice < 99) this.#die(node);
    else this.#leave(node);
  }

  /** A thread that has a link of its own ends. */
  #endThread(node: SyncNode): void {
    const thread = this.#pick(THREADS);
    if (node.life !== "working" || node.ended.has(thread)) return;
    this.#trace(`${node.id} ends thread ${thread}`);
    node.endThread(thread);
  }

  /** The directory hears how many threads of a node there are. */
  #setThreads({ id }: SyncNode): void {
    const threads = this.#random.between(1, 2);
    this.#synchronizer.setThreads(id, threads);
    this.#oracle.hasThreads(id, threads);
  }

  #beat(): void {
    this.#trace("directory: time passes");
    this.#answers = [];
    this.#stuck = [];
    this.#synchronizer.beat();
    this.#oracle.beaten(this.#answers, this.#stuck);
    this.#sendAnswers();
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }

  /** A node asks for something, or gives something back. */
  #ask(node: SyncNode): void {
    if (node.life !== "working" || node.asked.size >= ASKED_MAX) return;
    const request = this.#request(node);
    this.#trace(`${node.id} asks ${show(request)}`);
    node.ask(request);
  }

  #request(node: SyncNode): SyncRequest {
    const random = this.#random;
    const thread = this.#pick([0, ...THREADS].filter((thread) => !node.ended.has(thread)));
    const ticket = node.ticket(thread);
    const { Acquire, TryAcquire, Release, MakeSemaphore, Arrive, Lock, TryLock } = SyncOperation;
    // Rarely the thread that has it locked has ended.
    const unlock = random.chance(80) ? SyncOperation.Unlock : SyncOperation.Abandon;
    const locked = [...node.locks.keys()];
    if (locked.length > 0 && random.chance(50)) {
      return { kind, operation: unlock, ticket, lock: this.#pick(locked) };
    }
    const key = this.#pick(KEYS);
    const name = this.#pick(NAMES);
    const dice = random.below(100);
    if (dice < 20) return { kind, operation: Acquire, ticket, key };
    if (dice < 28) return { kind, operation: TryAcquire, ticket, key };
    if (dice < 46) {
      return random.chance(10)
        ? { kind, operation: Release, ticket, key: FULL_KEY, count: SEMAPHORE_COUNT_MAX }
        : { kind, operation: Release, ticket, key, count: random.between(1, 3) };
    }
    if (dice < 50) return { kind, operation: MakeSemaphore, ticket, count: random.below(2) };
    if (dice < 72) {
      return { kind, operation: Arrive, ticket, name, count: random.chance(90) ? 3 : 2 };
    }
    if (dice < 90) return { kind, operation: Lock, ticket, name };
    if (dice < 98) return { kind, operation: TryLock, ticket, name };
    // Of a lock that another node holds, if there is one, but not this one. It goes by the link by
    // which this node may yet lock under the same ticket: so it arrives before that.
    const others = this.#nodes.flatMap(({ locks }) => [...locks.keys()]);
    const foreign = others.filter((lock) =>
      !node.locks.has(lock) && !node.asked.has(lock) && !node.ended.has(threadOf(lock))
    );
    const lock = this.#pick([...foreign, NO_TICKET]);
    return { kind, operation: unlock, ticket: node.ticket(threadOf(lock)), lock };
  }

  #cancel(node: SyncNode): void {
    if (node.life !== "working" || node.asked.size === 0) return;
    const ticket = this.#pick([...node.asked.keys()]);
    this.#trace(`${node.id} cancels ${ticket}`);
    node.ask({ kind, operation: SyncOperation.Cancel, ticket });
  }

  #deliverRequest(node: SyncNode): void {
    const { busyLinks } = node;
    if (busyLinks.length === 0) {
      if (node.life !== "working" && node.stage !== "gone") this.#lose(node);
      return;
    }
    // A node may be given up for its silence while its words are on their way.
    const isUnheard = node.life === "dead" && node.stage !== "gone";
    if (isUnheard && this.#random.chance(30)) this.#lose(node);
    const link = this.#pick(busyLinks);
    const carried = link.shift()!;
    if (carried === "end") return this.#threadGone(node, node.toDirectory.indexOf(link));
    const request = fromBytes(carried) as Exclude<SyncRequest, FutexRequest>;
    this.#trace(`directory: from ${node.id} ${show(request)}`);
    this.#answers = [];
    this.#synchronizer.request(node.id, request);
    this.#oracle.requested(node.id, request, this.#answers);
    this.#sendAnswers();
  }

  /** The directory notices that the link of a thread has ended; another thread may have one. */
  #threadGone(node: SyncNode, thread: number): void {
    this.#trace(`directory: thread ${thread} of ${node.id} is gone`);
    node.ended.delete(thread);
    if (this.#oracle.isThreadBusy(node.id, thread)) this.coverage.reach("threadLeftInUse");
    this.#answers = [];
    this.#synchronizer.threadGone(node.id, thread);
    this.#oracle.threadLost(node.id, thread, this.#answers);
    this.#sendAnswers();
  }

  #deliverReply(node: SyncNode): void {
    if (node.fromDirectory.length === 0) return;
    const reply = node.receive();
    this.#trace(`${node.id} has ${reply.ticket} answered ${reply.status}`);
    this.#checkSections();
  }

  /** As the nodes themselves see it: a mutex has one holder. */
  #checkSections(): void {
    const holders = new Map<string, number>();
    for (const { id, locks } of this.#nodes) {
      for (const name of locks.values()) {
        if (holders.has(name)) fail(`${holders.get(name)} and ${id} are both in ${name}`);
        holders.set(name, id);
      }
    }
  }

  #die(node: SyncNode): void {
    // The directory's own node ends the cluster when it dies.
    if (node.id === 1 || node.life === "dead") return;
    this.#trace(`${node.id} dies`);
    if (node.fromDirectory.length > 0) this.coverage.reach("grantLost");
    if (node.asked.size > 0) this.coverage.reach("diedWaiting");
    node.die();
    for (const link of node.busyLinks) link.splice(this.#random.below(10));
  }

  #leave(node: SyncNode): void {
    if (node.id === 1 || node.life !== "working") return;
    this.#trace(`${node.id} leaves`);
    // It says so once the directory has seen the ends of its threads' links.
    for (const thread of THREADS) if (!node.ended.has(thread)) node.endThread(thread);
    node.life = "leaving";
  }

  /**
   * The directory notices that a node is dead, or has its word that it leaves, or lets it go: a
   * node that leaves may be needed for a while yet, and may die in it.
   */
  #lose(node: SyncNode): void {
    this.#answers = [];
    if (node.life === "dead") {
      this.#trace(`directory: ${node.id} is lost`);
      if (node.stage === "parting") this.coverage.reach("diedLeaving");
      node.stage = "gone";
      this.#synchronizer.peerLost(node.id);
      this.#oracle.ended(node.id, "died", this.#answers);
    } else if (node.stage === "member") {
      this.#trace(`directory: ${node.id} leaves`);
      node.stage = "parting";
      if (this.#oracle.isBusy(node.id)) this.coverage.reach("leftInUse");
      // No thread of a node that leaves uses what it held.
      node.locks.clear();
      this.#synchronizer.peerLeft(node.id);
      this.#oracle.ended(node.id, "leaves", this.#answers);
    } else {
      this.#trace(`directory: ${node.id} has left`);
      node.stage = "gone";
      this.#synchronizer.peerGone(node.id);
      this.#oracle.ended(node.id, "left", this.#answers);
    }
    this.#sendAnswers();
  }

  #sendAnswers(): void {
    for (const { to, reply } of this.#answers) {
      this.#trace(`directory: answers ${to}.${reply.ticket} with ${reply.status}`);
      const node = this.#nodes.find(({ id }) => id === to)!;
      if (node.life !== "dead") node.fromDirectory.push(toBytes(reply));
    }
  }

  /** No thread asks for more: what is held is given back, and what is waited for is cancelled. */
  #drain(): void {
    for (const node of this.#nodes.filter(({ life }) => life === "working")) {
      for (const ticket of node.asked.keys()) {
        node.ask({ kind, operation: SyncOperation.Cancel, ticket });
      }
      this.#giveBack(node);
    }
    for (let step = 0; step < DRAIN_STEPS_MAX; step++) {
      const busy = this.#nodes.filter(isUnderWay);
      if (busy.length === 0) break;
      const node = this.#pick(busy);
      if (this.#random.chance(50)) this.#deliverRequest(node);
      else this.#deliverReply(node);
      if (node.life === "working") this.#giveBack(node);
    }
    for (const { id, life, asked } of this.#nodes) {
      if (life === "working" && asked.size > 0) {
        fail(`${id} was never answered: ${[...asked.keys()]}`);
      }
    }
  }

  #giveBack(node: SyncNode): void {
    for (const lock of node.locks.keys()) {
      node.ask({ kind, operation: SyncOperation.Unlock, ticket: node.ticket(), lock });
    }
  }

  /** The first node takes all permits that are left, and locks what was abandoned. */
  #sweep(): void {
    const first = this.#nodes[0]!;
    const ask = (request: SyncRequest): void => {
      first.ask(request);
      this.#deliverRequest(first);
      first.receive();
    };
    const made = Array.from({ length: MADE_MAX }, (_, at) => SEMAPHORE_KEY_MADE_MIN + BigInt(at));
    for (const key of [...KEYS, ...made]) {
      while (this.#synchronizer.permits(key) > 0) {
        ask({ kind, operation: SyncOperation.TryAcquire, ticket: first.ticket(), key });
      }
    }
    for (const name of NAMES) {
      const ticket = first.ticket();
      ask({ kind, operation: SyncOperation.TryLock, ticket, name });
      ask({ kind, operation: SyncOperation.Unlock, ticket: first.ticket(), lock: ticket });
    }
  }
}

/** Whether something is left to happen to a node by itself. */
function isUnderWay(node: SyncNode): boolean {
  return node.busyLinks.length > 0 || node.fromDirectory.length > 0 ||
    (node.life !== "working" && node.stage !== "gone");
}

function show(request: SyncRequest): string {
  const entries = Object.entries(request).filter(([field]) => field !== "kind");
  return entries.map(([field, value]) => `${field} ${value}`).join(", ");
}
