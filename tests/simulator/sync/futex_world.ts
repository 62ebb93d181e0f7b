/**
 * Threads of a few nodes that wait for words, write them and notify, as a transition system: which
 * actions a state allows, and which state each of them leads to. Memory is sequentially consistent;
 * what a node says takes its time. Both the simulator and the exhaustive checker walk through it.
 */

import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import {
  futexAnswered,
  futexExpired,
  type FutexMove,
  type FutexOutcome,
  type FutexStep,
} from "../../../runtime/protocol/sync/futex_wait.ts";
import {
  FutexDesk,
  type FutexLimits,
  type FutexState,
  newFutexState,
  quietSlot,
} from "../../../runtime/protocol/sync/futexes.ts";
import {
  type FutexRequest,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../../../runtime/protocol/sync/messages.ts";
import { fail } from "../coherence/oracle.ts";
import { FutexOracle, type FutexOracleState, newFutexOracleState } from "./futex_oracle.ts";

const kind = "sync";
/** The result of a command for which there was no room. */
export const REFUSED = -1;

/** One thing that a thread does. The words are 0, 1, …, and so are their values. */
export type FutexCommand =
  | {
    readonly do: "wait";
    readonly word: number;
    readonly expected: number;
    readonly expires: boolean;
  }
  | { readonly do: "store"; readonly word: number; readonly value: number }
  | { readonly do: "notify"; readonly word: number; readonly count: number };

/** Threads, what they do, and where. */
export interface FutexShape {
  readonly nodes: number;
  readonly words: number;
  readonly threads: readonly {
    readonly node: NodeId;
    readonly commands: readonly FutexCommand[];
  }[];
  /** How many nodes may die or leave; never node 1, where the desk is. */
  readonly deaths: number;
  readonly limits: FutexLimits;
}

/** The parts that may have a fault. */
export interface FutexParts {
  readonly FutexDesk: typeof FutexDesk;
  /** Whether a thread looks before its wait is acknowledged, and no more. */
  readonly looksEarly: boolean;
}

/** Parts without a fault. */
export const FUTEX_PARTS: FutexParts = { FutexDesk, looksEarly: false };

interface ThreadState {
  /** The next command. */
  at: number;
  /** The wait or notify that is under way; the ticket is the thread's number. */
  under: "no" | "wait" | "notify";
  step: FutexStep;
  /** Whether the acknowledgement is here, and the thread has yet to look. */
  acknowledged: boolean;
  /** Of a notify, the values that the word did not have since the notify began, as bits. */
  others: number;
  /** How each wait ended, and how many each notify woke. */
  results: (FutexOutcome | number)[];
}

interface NodeState {
  life: "working" | "gone" | "noticed";
  readonly threads: ThreadState[];
  readonly up: SyncRequest[];
  readonly down: SyncReply[];
  /** The words that are quiet, by slot. */
  readonly quiet: Map<number, bigint>;
}

/** All there is. */
export interface FutexWorldState {
  readonly desk: FutexState;
  readonly oracle: FutexOracleState;
  readonly words: number[];
  /**
   * For each word the values, as bits, that it has not had since a notify began that found too few
   * waits: a thread that still sleeps for such a value has missed the notify.
   */
  readonly missed: number[];
  readonly nodes: NodeState[];
  deaths: number;
}

/** Something that can happen. */
export type FutexAction =
  | { readonly kind: "run" | "expire"; readonly node: number; readonly thread: number }
  | { readonly kind: "up" | "down" | "die" | "cut" | "notice"; readonly node: number };

function keyOf(word: number): bigint {
  return BigInt(word) * 4n;
}

/** Walks through the states of a shape. */
export class FutexWorld {
  readonly initial: FutexWorldState;
  readonly #shape: FutexShape;
  readonly #parts: FutexParts;
  readonly #commands: readonly (readonly (readonly FutexCommand[])[])[];

  /** @param shape The threads. @param parts What the desk is made of. */
  constructor(shape: FutexShape, parts: FutexParts = FUTEX_PARTS) {
    this.#shape = shape;
    this.#parts = parts;
    const nodes = Array.from({ length: shape.nodes }, (_, at) => at + 1);
    this.#commands = nodes.map((node) =>
      shape.threads.filter((thread) => thread.node === node).map(({ commands }) => commands)
    );
    const desk = newFutexState();
    const outbox = { reply: () => {}, violation: () => {} };
    for (const node of nodes) new FutexDesk(outbox, shape.limits, desk).peerJoined(node);
    this.initial = {
      desk,
      oracle: newFutexOracleState(),
      words: Array(shape.words).fill(0),
      missed: Array(shape.words).fill(0),
      deaths: shape.deaths,
      nodes: this.#commands.map((threads) => ({
        life: "working",
        threads: threads.map(() => ({
          at: 0,
          under: "no",
          step: "registering",
          acknowledged: false,
          others: 0,
          results: [],
        })),
        up: [],
        down: [],
        quiet: new Map(),
      })),
    };
  }

  /** Whether an action need not happen. */
  isWish(action: FutexAction): boolean {
    return action.kind === "expire" || action.kind === "die" || action.kind === "cut";
  }

  /** Everything that can happen; what happens in the end anyway comes first. */
  actions(state: FutexWorldState): FutexAction[] {
    const actions: FutexAction[] = [];
    const wishes: FutexAction[] = [];
    for (const [node, { life, threads, up, down }] of state.nodes.entries()) {
      if (up.length > 0) actions.push({ kind: "up", node });
      if (life !== "working") {
        if (life === "gone" && up.length === 0) actions.push({ kind: "notice", node });
        if (life === "gone" && up.length > 0) wishes.push({ kind: "cut", node });
        continue;
      }
      if (down.length > 0) actions.push({ kind: "down", node });
      for (const [thread, { at, under, step, acknowledged }] of threads.entries()) {
        const command = this.#commands[node]![thread]![at];
        if (command === undefined) continue;
        if (under === "no" || acknowledged) actions.push({ kind: "run", node, thread });
        else if (command.do === "wait" && command.expires && step === "asleep") {
          wishes.push({ kind: "expire", node, thread });
        }
      }
      if (node > 0 && state.deaths > 0) wishes.push({ kind: "die", node });
    }
    return [...actions, ...wishes];
  }

  /** The state that an action leads to; the one before stays as it is. */
  apply(state: FutexWorldState, action: FutexAction): FutexWorldState {
    const next = structuredClone(state);
    this.act(next, action);
    return next;
  }

  /** Lets something happen. */
  act(state: FutexWorldState, action: FutexAction): void {
    const node = state.nodes[action.node]!;
    switch (action.kind) {
      case "run":
        return this.#run(state, action.node, action.thread);
      case "expire":
        return this.#move(node, action.thread, futexExpired(node.threads[action.thread]!.step));
      case "up":
        return this.#ask(state, action.node + 1, node.up.shift()!);
      case "down":
        return this.#take(state, action.node, node.down.shift()!);
      case "die":
        state.deaths--;
        node.life = "gone";
        node.down.length = 0;
        return;
      case "cut":
        node.up.pop();
        return;
      case "notice":
        node.life = "noticed";
        return this.#step(state, (desk) => desk.peerGone(action.node + 1), (oracle) => {
          oracle.gone(action.node + 1);
        });
    }
  }

  #run(state: FutexWorldState, at: number, index: number): void {
    const node = state.nodes[at]!;
    const thread = node.threads[index]!;
    const command = this.#commands[at]![index]![thread.at]!;
    const ticket = index + 1;
    const key = keyOf(command.word);
    switch (command.do) {
      case "store":
        return this.#store(state, command.word, command.value, thread);
      case "wait": {
        const isUnchanged = (): boolean => state.words[command.word] === command.expected;
        if (thread.acknowledged) {
          thread.acknowledged = false;
          const look = this.#parts.looksEarly ? () => true : isUnchanged;
          const move = futexAnswered(thread.step, SyncStatus.Registered, look);
          return this.#move(node, index, move ?? fail("acknowledged twice"));
        }
        if (!isUnchanged()) return end(thread, "not-equal");
        thread.under = "wait";
        thread.step = "registering";
        node.up.push({ kind, operation: SyncOperation.FutexWait, ticket, key });
        return;
      }
      case "notify":
        thread.others = ~(1 << state.words[command.word]!);
        if (node.quiet.get(quietSlot(key, this.#shape.limits.quietSlots)) === key) {
          new FutexOracle(state.oracle).notifiedQuietly(key);
          return this.#notified(state, thread, command, 0);
        }
        thread.under = "notify";
        node.up.push({
          kind,
          operation: SyncOperation.FutexNotify,
          ticket,
          key,
          count: command.count,
        });
    }
  }

  #store(state: FutexWorldState, word: number, value: number, thread: ThreadState): void {
    state.words[word] = value;
    // A thread that waits for this value may have begun to just now.
    state.missed[word]! &= ~(1 << value);
    for (const [at, { threads }] of state.nodes.entries()) {
      for (const [index, other] of threads.entries()) {
        if (this.#commands[at]![index]![other.at]?.word === word) other.others &= ~(1 << value);
      }
    }
    thread.at++;
  }

  #notified(
    state: FutexWorldState,
    thread: ThreadState,
    { word, count }: { word: number; count: number },
    woken: number,
  ): void {
    if (woken < count) state.missed[word]! |= thread.others;
    thread.others = 0;
    end(thread, woken);
  }

  #move({ threads, up }: NodeState, index: number, { step, say }: FutexMove): void {
    const thread = threads[index]!;
    const ticket = index + 1;
    if (say !== undefined) up.push({ kind, operation: say, ticket });
    if (step === "ok" || step === "not-equal" || step === "timed-out") end(thread, step);
    else thread.step = step;
  }

  /** A node's engine takes what the desk has answered. */
  #take(state: FutexWorldState, at: number, { ticket, status, count, key }: SyncReply): void {
    const node = state.nodes[at]!;
    const slot = quietSlot(key, this.#shape.limits.quietSlots);
    if (status === SyncStatus.Stirred) {
      if (node.quiet.get(slot) !== key) fail(`node ${at + 1} is told of ${key}, and knew`);
      node.quiet.delete(slot);
      node.up.push({ kind, operation: SyncOperation.FutexHeard, ticket: 0, key });
      return;
    }
    if (status === SyncStatus.Quiet) {
      if (node.quiet.has(slot) && node.quiet.get(slot) !== key) fail(`slot ${slot} is taken`);
      node.quiet.set(slot, key);
    }
    const thread = node.threads[ticket - 1]!;
    const command = this.#commands[at]![ticket - 1]![thread.at]!;
    if (thread.under === "no") fail(`${at + 1}.${ticket} has ended, and is answered ${status}`);
    if (status === SyncStatus.LimitExceeded) return end(thread, REFUSED);
    if (command.do === "notify") return this.#notified(state, thread, command, count);
    if (status === SyncStatus.Registered) {
      thread.acknowledged = true;
      return;
    }
    const move = futexAnswered(thread.step, status, () => fail("looks without a reason"));
    this.#move(node, ticket - 1, move ?? fail(`${thread.step} is answered ${status}`));
  }

  #ask(state: FutexWorldState, from: NodeId, request: SyncRequest): void {
    this.#step(state, (desk) => {
      if (request.operation === SyncOperation.Cancel) desk.cancel(from, request.ticket);
      else desk.request(from, request as FutexRequest);
    }, (oracle) => oracle.asked(from, request));
  }

  /** The desk takes a step, and the oracle watches. */
  #step(
    state: FutexWorldState,
    step: (desk: FutexDesk) => void,
    expect: (oracle: FutexOracle) => void,
  ): void {
    const replies: { to: NodeId; reply: SyncReply }[] = [];
    const violation = (node: NodeId, reason: string) => fail(`node ${node}: ${reason}`);
    const reply = (to: NodeId, reply: SyncReply) => replies.push({ to, reply });
    step(new this.#parts.FutexDesk({ reply, violation }, this.#shape.limits, state.desk));
    const oracle = new FutexOracle(state.oracle);
    expect(oracle);
    for (const { to, reply } of replies) {
      if (reply.status === SyncStatus.Registered) this.#checkHeard(state, to, reply.ticket);
      oracle.answered(to, reply);
      const node = state.nodes[to - 1]!;
      if (node.life === "noticed") fail(`node ${to} is gone, and is answered`);
      if (node.life === "working") node.down.push(reply);
    }
    oracle.settled(state.desk.waiting);
  }

  /** No thread takes a word for quiet at which a wait is acknowledged. */
  #checkHeard(state: FutexWorldState, to: NodeId, ticket: number): void {
    const key = new FutexOracle(state.oracle).keyOf(to, ticket);
    for (const [at, { life, quiet, down }] of state.nodes.entries()) {
      if (life !== "working") continue;
      const slot = quietSlot(key, this.#shape.limits.quietSlots);
      const isToBe = down.some((reply) => reply.status === SyncStatus.Quiet && reply.key === key);
      if (quiet.get(slot) === key || isToBe) {
        fail(`node ${at + 1} takes word ${key} for quiet, and a wait there is acknowledged`);
      }
    }
  }

  /** Nothing happens any more by itself: a thread that sleeps must be one that may. */
  checkQuiescence(state: FutexWorldState): void {
    for (const [at, { life, threads }] of state.nodes.entries()) {
      if (life !== "working") continue;
      for (const [index, thread] of threads.entries()) {
        const command = this.#commands[at]![index]![thread.at];
        if (command === undefined) continue;
        const name = `thread ${index + 1} of node ${at + 1}`;
        if (command.do !== "wait" || thread.step !== "asleep") fail(`${name} is never answered`);
        else if ((state.missed[command.word]! >> command.expected & 1) === 1) {
          fail(`${name} has missed a wake-up`);
        }
      }
    }
  }

  /** All that matters about a state, as text. */
  describe(state: FutexWorldState): string {
    const { desk, oracle } = state;
    const numbers = [...desk.words.values()]
      .flatMap(({ waiters, notifiers }) => [...waiters, ...notifiers])
      .map(({ number }) => number).sort((a, b) => a - b);
    const rank = new Map(numbers.map((number, at) => [number, at]));
    const plain = (name: string, value: unknown): unknown => {
      if (name === "results") return undefined;
      if (typeof value === "bigint") return Number(value);
      if (value instanceof Map) return [...value].sort();
      if (value instanceof Set) return [...value];
      return value;
    };
    const words = [...desk.words].map(([key, { waiters, notifiers }]) => [
      key,
      ...[...waiters, ...notifiers].map((one) => ({ ...one, number: rank.get(one.number) })),
    ]);
    const { quiet, unheard } = desk;
    return JSON.stringify(
      { ...state, oracle: oracle.open.length, desk: [words, quiet, unheard] },
      plain,
    );
  }
}

function end(thread: ThreadState, result: FutexOutcome | number): void {
  thread.results.push(result);
  thread.under = "no";
  thread.at++;
}
