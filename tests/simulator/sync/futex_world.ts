/**
 * Threads of a few nodes that wait for words, write them and notify, as a transition system: which
 * actions a state allows, and which state each of them leads to. Memory is sequentially consistent;
 * what a node says takes its time. Both the simulator and the exhaustive checker walk through it.
 */

import { DIRECTORY_NODE, type NodeId } from "../../../runtime/protocol/coherence/messages.ts";
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
  type LentState,
  LentWords,
  newLentState,
  WordMark,
} from "../../../runtime/protocol/sync/lent_words.ts";
import {
  type CancelRequest,
  firstTicketOf,
  type FutexNotifyRequest,
  type FutexRequest,
  type FutexWaitRequest,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
  threadOf,
} from "../../../runtime/protocol/sync/messages.ts";
import { fail } from "../coherence/oracle.ts";
import { FutexOracle, type FutexOracleState, newFutexOracleState } from "./futex_oracle.ts";

const kind = "sync";
/** More threads than any node has. */
const THREADS_MAX = 64;
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
  | {
    /** To post is to notify, and to go on without the answer. */
    readonly do: "notify" | "post";
    readonly word: number;
    readonly count: number;
  };

/** Threads, what they do, and where. */
export interface FutexShape {
  readonly nodes: number;
  readonly words: number;
  readonly threads: readonly {
    readonly node: NodeId;
    readonly commands: readonly FutexCommand[];
    /** Whether it asks by a link of its own, unless it sees that its node has the word. */
    readonly hasLink?: boolean;
  }[];
  /** How many nodes may die or leave; never node 1, where the desk is. */
  readonly deaths: number;
  /** How many threads may be gone before their wait is acknowledged; none where left out. */
  readonly detaches?: number;
  readonly limits: FutexLimits;
}

/** The parts that may have a fault. */
export interface FutexParts {
  readonly FutexDesk: typeof FutexDesk;
  readonly LentWords: typeof LentWords;
  /** Whether a thread looks before its wait is acknowledged, and no more. */
  readonly looksEarly: boolean;
  /** Whether an engine forgets that it has given a wait up, where that comes back with its word. */
  readonly forgetsGone: boolean;
}

/** Parts without a fault. */
export const FUTEX_PARTS: FutexParts = {
  FutexDesk,
  LentWords,
  looksEarly: false,
  forgetsGone: false,
};

/** A notify whose answer the thread does not await. */
interface Post {
  readonly word: number;
  readonly count: number;
  /** The values that the word did not have since it began, as bits. */
  others: number;
}

interface ThreadState {
  /** The next command. */
  at: number;
  /** The wait or notify that is under way; its ticket says by which link. */
  under: "no" | "wait" | "notify";
  byLink: boolean;
  step: FutexStep;
  /** Whether the acknowledgement is here, and the thread has yet to look. */
  acknowledged: boolean;
  /** Of a notify, the values that the word did not have since the notify began, as bits. */
  others: number;
  /** The notifies that have no answer yet, which it goes on without, by ticket. */
  readonly posts: Map<number, Post>;
  /** Whether it is gone, and has given up what it waits for. */
  isGone: boolean;
  /** How each wait ended, and how many each notify woke. */
  results: (FutexOutcome | number)[];
}

interface NodeState {
  life: "working" | "gone" | "noticed";
  readonly threads: ThreadState[];
  /** Its own link, and those of its threads. */
  readonly links: Link[];
  /** What its threads see of words, by slot. */
  readonly marks: Map<number, { readonly key: bigint; readonly marks: number }>;
  readonly lent: LentState;
}

/** What is on its way to the directory node, and back. */
interface Link {
  readonly up: SyncRequest[];
  readonly down: SyncReply[];
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
  detaches: number;
}

/** Something that can happen. */
export type FutexAction =
  | { readonly kind: "run" | "expire" | "detach"; readonly node: number; readonly thread: number }
  | { readonly kind: "up" | "down" | "cut"; readonly node: number; readonly link: number }
  | { readonly kind: "die" | "notice"; readonly node: number };

function keyOf(word: number): bigint {
  return BigInt(word) * 4n;
}

/** Walks through the states of a shape. */
export class FutexWorld {
  readonly initial: FutexWorldState;
  readonly #shape: FutexShape;
  readonly #parts: FutexParts;
  readonly #commands: readonly (readonly (readonly FutexCommand[])[])[];
  readonly #hasLink: readonly (readonly boolean[])[];

  /** @param shape The threads. @param parts What the desk is made of. */
  constructor(shape: FutexShape, parts: FutexParts = FUTEX_PARTS) {
    this.#shape = shape;
    this.#parts = parts;
    const nodes = Array.from({ length: shape.nodes }, (_, at) => at + 1);
    const threads = nodes.map((node) => shape.threads.filter((thread) => thread.node === node));
    this.#commands = threads.map((ofNode) => ofNode.map(({ commands }) => commands));
    this.#hasLink = threads.map((ofNode) => ofNode.map(({ hasLink = false }) => hasLink));
    const desk = newFutexState();
    const outbox = { reply: () => {}, violation: () => {} };
    for (const node of nodes) new FutexDesk(outbox, shape.limits, desk).peerJoined(node);
    this.initial = {
      desk,
      oracle: newFutexOracleState(),
      words: Array(shape.words).fill(0),
      missed: Array(shape.words).fill(0),
      deaths: shape.deaths,
      detaches: shape.detaches ?? 0,
      nodes: this.#commands.map((threads) => ({
        life: "working",
        threads: threads.map(() => ({
          at: 0,
          under: "no",
          byLink: false,
          step: "registering",
          acknowledged: false,
          others: 0,
          posts: new Map(),
          isGone: false,
          results: [],
        })),
        links: [0, ...threads.keys().map((at) => at + 1)].map(() => ({ up: [], down: [] })),
        marks: new Map(),
        lent: newLentState(),
      })),
    };
  }

  /** Whether an action need not happen. */
  isWish(action: FutexAction): boolean {
    return action.kind !== "run" && action.kind !== "up" && action.kind !== "down" &&
      action.kind !== "notice";
  }

  /** Everything that can happen; what happens in the end anyway comes first. */
  actions(state: FutexWorldState): FutexAction[] {
    const actions: FutexAction[] = [];
    const wishes: FutexAction[] = [];
    for (const [node, { life, threads, links }] of state.nodes.entries()) {
      for (const [link, { up }] of links.entries()) {
        if (up.length > 0) actions.push({ kind: "up", node, link });
        if (up.length > 0 && life === "gone") wishes.push({ kind: "cut", node, link });
      }
      if (life !== "working") {
        const isAll = links.every(({ up }) => up.length === 0);
        if (life === "gone" && isAll) actions.push({ kind: "notice", node });
        continue;
      }
      for (const [link, { down }] of links.entries()) {
        if (down.length > 0) actions.push({ kind: "down", node, link });
      }
      for (const [thread, threadState] of threads.entries()) {
        const { at, under, step, acknowledged, byLink, isGone } = threadState;
        const command = this.#commands[node]![thread]![at];
        if (command === undefined || isGone) continue;
        if (under === "wait" && step === "registering" && !byLink && state.detaches > 0) {
          wishes.push({ kind: "detach", node, thread });
        }
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
        return this.#move(
          state,
          action.node,
          action.thread,
          futexExpired(node.threads[action.thread]!.step),
        );
      case "detach":
        return this.#detach(state, action.node, action.thread);
      case "up":
        return this.#ask(state, action.node + 1, node.links[action.link]!.up.shift()!);
      case "down":
        return this.#take(state, action.node, node.links[action.link]!.down.shift()!);
      case "die":
        state.deaths--;
        node.life = "gone";
        for (const { down } of node.links) down.length = 0;
        return;
      case "cut":
        node.links[action.link]!.up.pop();
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
    switch (command.do) {
      case "store":
        return this.#store(state, command.word, command.value, thread);
      case "wait": {
        const isUnchanged = (): boolean => state.words[command.word] === command.expected;
        if (thread.acknowledged) {
          thread.acknowledged = false;
          const look = this.#parts.looksEarly ? () => true : isUnchanged;
          const move = futexAnswered(thread.step, SyncStatus.Registered, look);
          return this.#move(state, at, index, move ?? fail("acknowledged twice"));
        }
        if (!isUnchanged()) return end(thread, "not-equal");
        thread.under = "wait";
        thread.step = "registering";
        return this.#begin(state, at, index);
      }
      case "notify":
      case "post": {
        const { word, count } = command;
        thread.others = ~(1 << state.words[word]!);
        if ((this.#marksOf(state, at, word) & WordMark.Quiet) !== 0) {
          new FutexOracle(state.oracle).notifiedQuietly(keyOf(word));
          return this.#notified(state, thread, command, 0);
        }
        if (command.do === "notify") {
          thread.under = "notify";
          return this.#begin(state, at, index);
        }
        const ticket = freeTicket(thread, this.#asksByLink(state, at, index), index);
        thread.posts.set(ticket, { word, count, others: thread.others });
        thread.others = 0;
        thread.at++;
        return this.#say(state, at, this.#requestOf(state, at, ticket));
      }
    }
  }

  /** A thread is gone before its wait is acknowledged; its engine gives the wait up. */
  #detach(state: FutexWorldState, at: number, index: number): void {
    const thread = state.nodes[at]!.threads[index]!;
    state.detaches--;
    thread.isGone = true;
    thread.acknowledged = false;
    const ticket = ticketOf(thread, index);
    this.#say(state, at, { kind, operation: SyncOperation.Cancel, ticket });
  }

  /** What the threads of a node see of a word. */
  #marksOf(state: FutexWorldState, at: number, word: number): number {
    const shown = state.nodes[at]!.marks.get(this.#slotOf(keyOf(word)));
    return shown?.key === keyOf(word) ? shown.marks : WordMark.None;
  }

  #slotOf(key: bigint): number {
    return quietSlot(key, this.#shape.limits.quietSlots);
  }

  /** Whether a thread asks about the word of its command by its own link. */
  #asksByLink(state: FutexWorldState, at: number, index: number): boolean {
    const thread = state.nodes[at]!.threads[index]!;
    const { word } = this.#commands[at]![index]![thread.at]!;
    const isLent = (this.#marksOf(state, at, word) & WordMark.Lent) !== 0;
    return this.#hasLink[at]![index]! && !isLent;
  }

  /** A thread asks by its own link or by its engine, and awaits the answer. */
  #begin(state: FutexWorldState, at: number, index: number): void {
    const thread = state.nodes[at]!.threads[index]!;
    thread.byLink = this.#asksByLink(state, at, index);
    this.#say(state, at, this.#requestOf(state, at, ticketOf(thread, index)));
  }

  /** The request of a thread that has a ticket. */
  #requestOf(
    state: FutexWorldState,
    at: number,
    ticket: number,
  ): FutexWaitRequest | FutexNotifyRequest {
    const index = indexOf(ticket);
    const thread = state.nodes[at]!.threads[index]!;
    const asked = thread.posts.get(ticket) ?? this.#commands[at]![index]![thread.at]!;
    const key = keyOf(asked.word);
    return "count" in asked
      ? { kind, operation: SyncOperation.FutexNotify, ticket, key, count: asked.count }
      : { kind, operation: SyncOperation.FutexWait, ticket, key };
  }

  #say(state: FutexWorldState, at: number, request: FutexRequest | CancelRequest): void {
    const { links } = state.nodes[at]!;
    const thread = threadOf(request.ticket);
    if (thread !== 0) return void links[thread]!.up.push(request);
    const isServed = this.#atEngine(state, at, (words) => words.request(request), (oracle) => {
      oracle.asked(at + 1, request, at + 1);
    });
    if (!isServed) links[0]!.up.push(request);
  }

  #store(state: FutexWorldState, word: number, value: number, thread: ThreadState): void {
    state.words[word] = value;
    // A thread that waits for this value may have begun to just now.
    state.missed[word]! &= ~(1 << value);
    for (const [at, { threads }] of state.nodes.entries()) {
      for (const [index, other] of threads.entries()) {
        if (this.#commands[at]![index]![other.at]?.word === word) other.others &= ~(1 << value);
        for (const post of other.posts.values()) {
          if (post.word === word) post.others &= ~(1 << value);
        }
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

  #move(state: FutexWorldState, at: number, index: number, { step, say }: FutexMove): void {
    const thread = state.nodes[at]!.threads[index]!;
    const ticket = ticketOf(thread, index);
    if (step === "ok" || step === "not-equal" || step === "timed-out") return end(thread, step);
    thread.step = step;
    if (say !== undefined) this.#say(state, at, { kind, operation: say, ticket });
  }

  /** A node takes what the directory node's desk has answered. */
  #take(state: FutexWorldState, at: number, reply: SyncReply): void {
    const { ticket, status, key } = reply;
    const node = state.nodes[at]!;
    if (status === SyncStatus.Stirred) {
      return void this.#atEngine(state, at, (words) => words.stirred(key));
    }
    if (status === SyncStatus.Quiet) this.#show(state, at, key, WordMark.Quiet);
    if (status === SyncStatus.Lent && ticket === 0) {
      return void this.#atEngine(state, at, (words) => words.lend(key));
    }
    const index = indexOf(ticket);
    const thread = node.threads[index]!;
    if (status === SyncStatus.Lent && threadOf(ticket) !== 0) {
      const { operation } = this.#requestOf(state, at, ticket);
      if (operation === SyncOperation.FutexNotify) fail("a notify comes back that nobody may read");
      thread.byLink = false;
      return this.#say(state, at, this.#requestOf(state, at, ticketOf(thread, index)));
    }
    if (status === SyncStatus.Lent) {
      const request = this.#requestOf(state, at, ticket);
      this.#atEngine(state, at, (words) => words.lend(key, request), (oracle) => {
        oracle.asked(at + 1, request, at + 1);
      });
      if (!thread.isGone || thread.posts.has(ticket) || this.#parts.forgetsGone) return;
      return this.#say(state, at, { kind, operation: SyncOperation.Cancel, ticket });
    }
    if (status === SyncStatus.Moved) {
      const request = this.#requestOf(state, at, ticket);
      if (request.operation !== SyncOperation.FutexWait) return fail("a notify is moved");
      this.#atEngine(state, at, (words) => words.adopt(request), (oracle) => {
        oracle.arrives(at + 1, ticket, at + 1);
      });
      if (thread.step === "asleep") return;
      // The cancel that is on its way to the directory node is for nothing there.
      return this.#say(state, at, { kind, operation: SyncOperation.Cancel, ticket });
    }
    this.#hear(state, at, reply);
  }

  /** A thread hears an answer, of the directory node or of its own. */
  #hear(state: FutexWorldState, at: number, { ticket, status, count }: SyncReply): void {
    const index = indexOf(ticket);
    const thread = state.nodes[at]!.threads[index]!;
    const post = thread.posts.get(ticket);
    if (post !== undefined) {
      thread.posts.delete(ticket);
      const isRefused = status === SyncStatus.LimitExceeded;
      if (!isRefused && count < post.count) state.missed[post.word]! |= post.others;
      return void thread.results.push(isRefused ? REFUSED : count);
    }
    const command = this.#commands[at]![index]![thread.at]!;
    if (thread.under === "no") fail(`${at + 1}.${index} has ended, and is answered ${status}`);
    if (thread.isGone) {
      if (status === SyncStatus.Registered) return;
      if (status === SyncStatus.Done) fail(`${at + 1}.${index} is gone, and is woken`);
      thread.under = "no";
      thread.at = this.#commands[at]![index]!.length;
      return;
    }
    if (status === SyncStatus.LimitExceeded) {
      const isNew = thread.step === "registering" && !thread.acknowledged;
      if (command.do === "wait" && !isNew) fail(`${at + 1}.${index} waits, and is refused`);
      return end(thread, REFUSED);
    }
    if (command.do === "notify") return this.#notified(state, thread, command, count);
    if (status === SyncStatus.Registered) {
      thread.acknowledged = true;
      return;
    }
    const move = futexAnswered(thread.step, status, () => fail("looks without a reason"));
    this.#move(state, at, index, move ?? fail(`${thread.step} is answered ${status}`));
  }

  /** Something happens to the words that are lent to a node. */
  #atEngine<Result>(
    state: FutexWorldState,
    at: number,
    act: (words: LentWords) => Result,
    expect: (oracle: FutexOracle) => void = () => {},
  ): Result {
    const node = state.nodes[at]!;
    const oracle = new FutexOracle(state.oracle);
    const replies: SyncReply[] = [];
    const words = new this.#parts.LentWords(
      at + 1,
      {
        reply: (reply) => replies.push(reply),
        tell: (request) => node.links[0]!.up.push(request),
        show: (key, marks) => this.#show(state, at, key, marks),
      },
      this.#shape.limits,
      node.lent,
    );
    const result = act(words);
    if (result === false) return result;
    expect(oracle);
    for (const reply of replies) {
      if (reply.status === SyncStatus.Registered) this.#checkHeard(state, at + 1, reply.ticket);
      oracle.answered(at + 1, reply);
    }
    for (const { operation, ticket } of node.links[0]!.up) {
      if (operation === SyncOperation.FutexMoved) oracle.moves(at + 1, ticket);
    }
    // The directory node is lent none.
    if (at + 1 !== DIRECTORY_NODE) oracle.settled(at + 1, words.waiting);
    for (const reply of replies) this.#hear(state, at, reply);
    return result;
  }

  #show(state: FutexWorldState, at: number, key: bigint, marks: number): void {
    const shown = state.nodes[at]!.marks;
    const slot = this.#slotOf(key);
    if (shown.has(slot) && shown.get(slot)!.key !== key) fail(`slot ${slot} is taken`);
    if (marks === WordMark.None) shown.delete(slot);
    else shown.set(slot, { key, marks });
  }

  #ask(state: FutexWorldState, from: NodeId, request: SyncRequest): void {
    this.#step(state, (desk) => {
      if (request.operation === SyncOperation.Cancel) desk.cancel(from, request.ticket);
      else desk.request(from, request as FutexRequest);
    }, (oracle) => oracle.asked(from, request, DIRECTORY_NODE));
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
      if (node.life === "working") node.links[threadOf(reply.ticket)]!.down.push(reply);
    }
    oracle.settled(DIRECTORY_NODE, state.desk.waiting);
  }

  /** No thread takes a word for quiet at which a wait is acknowledged. */
  #checkHeard(state: FutexWorldState, to: NodeId, ticket: number): void {
    const key = new FutexOracle(state.oracle).keyOf(to, ticket);
    for (const [at, { life, links, marks }] of state.nodes.entries()) {
      if (life !== "working") continue;
      const isToBe = links[0]!.down.some((reply) =>
        reply.status === SyncStatus.Quiet && reply.key === key
      );
      const shown = marks.get(this.#slotOf(key));
      const isQuiet = shown?.key === key && (shown.marks & WordMark.Quiet) !== 0;
      if (isQuiet || isToBe) {
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
        const name = `thread ${index + 1} of node ${at + 1}`;
        if (thread.posts.size > 0) fail(`${name} has posted a notify that is never answered`);
        if (command === undefined) continue;
        if (command.do !== "wait" || thread.step !== "asleep") fail(`${name} is never answered`);
        else if ((state.missed[command.word]! >> command.expected & 1) === 1) {
          fail(`${name} has missed a wake-up`);
        }
      }
    }
  }

  /** All that matters about a state, as text. */
  describe(state: FutexWorldState): string {
    const plain = (name: string, value: unknown): unknown => {
      if (name === "results") return undefined;
      if (typeof value === "bigint") return Number(value);
      if (value instanceof Map) return [...value].sort();
      if (value instanceof Set) return [...value];
      return value;
    };
    const nodes = state.nodes.map((node) => ({
      ...node,
      lent: [describeDesk(node.lent.desk), node.lent.lent, node.lent.returned, node.lent.wanted],
    }));
    const { oracle: { open, held }, desk } = state;
    return JSON.stringify(
      { ...state, nodes, oracle: [open.length, held.length], desk: describeDesk(desk) },
      plain,
    );
  }
}

/** What matters about a desk: of the numbers of what has come, only their order. */
function describeDesk({ words, quiet, unheard, lent, runs }: FutexState): unknown {
  const all = [...words.values()].flatMap(({ waiters, notifiers, held }) => [
    ...waiters,
    ...notifiers,
    ...held,
  ]);
  const numbers = all.map(({ number }) => number).sort((a, b) => a - b);
  const rank = new Map(numbers.map((number, at) => [number, at]));
  const named = [...words].map(([key, { waiters, notifiers, held }]) => [
    key,
    ...[waiters, notifiers, held].map((some) =>
      [...some].map((one) => ({ ...one, number: rank.get(one.number) }))
    ),
  ]);
  return [named, quiet, unheard, lent, runs];
}

/** The ticket of what a thread has under way. */
function ticketOf({ byLink }: ThreadState, index: number): number {
  return byLink ? firstTicketOf(index + 1) : index + 1;
}

/** A ticket for what a thread goes on without. */
function freeTicket({ posts }: ThreadState, byLink: boolean, index: number): number {
  const [first, step] = byLink ? [firstTicketOf(index + 1), 1] : [index + 1, THREADS_MAX];
  let ticket = first + step;
  while (posts.has(ticket)) ticket += step;
  return ticket;
}

/** The place of the thread that has a ticket. */
function indexOf(ticket: number): number {
  const thread = threadOf(ticket);
  return thread === 0 ? (ticket - 1) % THREADS_MAX : thread - 1;
}

function end(thread: ThreadState, result: FutexOutcome | number): void {
  thread.results.push(result);
  thread.under = "no";
  thread.at++;
}
