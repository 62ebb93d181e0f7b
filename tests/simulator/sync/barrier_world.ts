/**
 * Nodes whose threads meet at barriers that trees gather, and the messages between any two of them.
 * What the threads see is checked against what a barrier is, told without trees: a round is over
 * when so many threads wait at the same time, and each of them is then told so, once.
 */

import { BARRIER_TREE_NODES, BARRIER_TREE_USES_MAX } from "../../../runtime/limits.ts";
import { DIRECTORY_NODE, type NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import { BarrierGatherer } from "../../../runtime/protocol/sync/barrier_gatherer.ts";
import type { SyncLimits } from "../../../runtime/protocol/sync/desk.ts";
import {
  type ArriveRequest,
  type BarrierTreeMessage,
  type GatherMessage,
  GatherStep,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../../../runtime/protocol/sync/messages.ts";
import {
  SYNC_PARTS,
  Synchronizer,
  type SyncParts,
} from "../../../runtime/protocol/sync/synchronizer.ts";
import { fail } from "../coherence/oracle.ts";

const kind = "sync";

/** The parts that may have a fault. */
export interface BarrierParts extends SyncParts {
  readonly BarrierGatherer: typeof BarrierGatherer;
}

/** Parts without a fault. */
export const BARRIER_PARTS: BarrierParts = { ...SYNC_PARTS, BarrierGatherer };

/** The corners that schedules get into, and how often. */
export interface BarrierCoverage {
  /** A round was gathered by the desk; by a tree. */
  byDesk: number;
  byTree: number;
  /** A tree in which a node stands between others and the root. */
  deep: number;
  /** A tree of as many nodes as it takes on real ones. */
  large: number;
  /** A tree was dissolved. */
  dissolved: number;
  /** Its generation was complete, which a node learned by that. */
  overtaken: number;
  /** Its generation was not, and arrivals that were reported went to the desk. */
  forwarded: number;
  /** An arrival was taken back before it was reported; was to be, and its round was over first. */
  cancelled: number;
  cancelledTooLate: number;
  /** A thread was told that a party is gone. */
  peerLost: number;
  /** Threads disagreed on the parties. */
  mismatch: number;
  /** A report came ahead of the word of its tree. */
  early: number;
  /** A node died, or left, that had nodes below it in a tree. */
  innerGone: number;
  /** A node was found out that sends reports of trees that do not exist. */
  flooded: number;
}

/** A coverage in which nothing is counted. */
export function newBarrierCoverage(): BarrierCoverage {
  return {
    byDesk: 0,
    byTree: 0,
    deep: 0,
    large: 0,
    dissolved: 0,
    overtaken: 0,
    forwarded: 0,
    cancelled: 0,
    cancelledTooLate: 0,
    peerLost: 0,
    mismatch: 0,
    early: 0,
    innerGone: 0,
    flooded: 0,
  };
}

/** An arrival as its thread sees it. */
interface Arrival {
  readonly request: ArriveRequest;
  /** Whether the desk has to answer it, since it was sent there. */
  isAtDesk: boolean;
  /** The round that is over because of it; `undefined` where it has to wait. */
  round: RoundSeen | undefined;
  isCancelled: boolean;
  /** Whether the desk has refused it, though its thread has yet to hear that. */
  isRefused: boolean;
}

/** A round that is over. */
interface RoundSeen {
  readonly parties: number;
  /** How many threads were told that they were the last. */
  last: number;
  /** Whether a node is gone that took part, which may have had the last. */
  isMaimed: boolean;
  readonly nodes: ReadonlySet<NodeId>;
}

/** A tree, as the nodes were told of it. */
interface TreeSeen {
  readonly number: number;
  readonly name: string;
  readonly parties: number;
  readonly plans: Map<NodeId, BarrierTreeMessage>;
  isAlive: boolean;
  generation: number;
}

type Said = SyncMessage | BarrierTreeMessage;
/** What a link carries; a node that leaves says so once, and the directory node who is gone. */
type Carried = Said | { readonly kind: "leave" } | {
  readonly kind: "gone";
  readonly node: NodeId;
};

/** A node. */
interface Node {
  readonly id: NodeId;
  life: "working" | "leaving" | "dead";
  /** Whether the directory node has heard that it goes; and whether it has gone. */
  isLost: boolean;
  isGone: boolean;
  /** The directory node has none. */
  readonly gatherer: BarrierGatherer | undefined;
  /** The arrivals without an answer, by ticket, in order. */
  readonly open: Map<number, Arrival>;
  /** Those that nobody waits for any more, since the node goes or is gone. */
  readonly abandoned: Map<number, ArriveRequest>;
  /** How many of its arrivals have no answer, also of those that nobody waits for any more. */
  unanswered: number;
  /** Whether it sends what it may not. */
  isRogue: boolean;
  tickets: number;
}

/** The cluster. */
export class BarrierWorld {
  readonly coverage: BarrierCoverage;
  readonly nodes: readonly Node[];
  readonly #synchronizer: Synchronizer;
  readonly #trace: (line: string) => void;
  /** Whether the desk has room for the last rounds of all barriers. */
  readonly #remembersAll: boolean;
  /** What is on its way, by sender and receiver: each pair has a link, in order. */
  readonly #links = new Map<string, Carried[]>();
  readonly #trees = new Map<number, TreeSeen>();
  /** The last round of each barrier. */
  readonly #rounds = new Map<string, RoundSeen>();
  #falseReports = 0;
  /** What the desk has said in the step under way. */
  #said: { to: NodeId; message: Said }[] = [];

  /**
   * @param nodes How many nodes.
   * @param limits How much the directory node remembers, and when it plants trees.
   * @param parts What the nodes are made of.
   * @param coverage Where to count.
   * @param trace Is told everything that happens.
   */
  constructor(
    nodes: number,
    limits: SyncLimits,
    parts: BarrierParts = BARRIER_PARTS,
    coverage: BarrierCoverage = newBarrierCoverage(),
    trace: (line: string) => void = () => {},
  ) {
    this.coverage = coverage;
    this.#trace = trace;
    this.#remembersAll = limits.rounds > 1;
    const violation = (node: NodeId, reason: string) => fail(`node ${node}: ${reason}`);
    const say = (to: NodeId, message: Said) => void this.#said.push({ to, message });
    const outbox = { reply: say, tell: say, violation };
    this.#synchronizer = new Synchronizer(outbox, limits, parts);
    this.nodes = Array.from({ length: nodes }, (_, index): Node => {
      const id = index + 1;
      this.#synchronizer.peerJoined(id);
      const gatherer = id === DIRECTORY_NODE ? undefined : new parts.BarrierGatherer({
        ask: (request) => this.#askDesk(this.nodes[index]!, request),
        send: (to, message) => this.#send(id, to, message),
        answer: (reply) => this.#answered(this.nodes[index]!, reply),
        violation: (node, reason) => {
          const { isRogue } = this.nodes[node - 1]!;
          if (!isRogue) fail(`node ${node}, to node ${id}: ${reason}`);
          this.#expel(this.nodes[node - 1]!);
        },
      }, () => this.nodes[index]!.unanswered);
      return {
        id,
        life: "working",
        isLost: false,
        isGone: false,
        gatherer,
        open: new Map(),
        abandoned: new Map(),
        unanswered: 0,
        isRogue: false,
        tickets: 0,
      };
    });
  }

  /** The links on which something is on its way. */
  get busyLinks(): string[] {
    return this.#links.entries().filter(([, { length }]) => length > 0).map(([key]) => key)
      .toArray();
  }

  /** The nodes that work. */
  get working(): Node[] {
    return this.nodes.filter(({ life }) => life === "working");
  }

  /** The dead nodes of which the directory node has yet to hear. */
  get unheard(): Node[] {
    return this.nodes.filter(({ life, isLost }) => life === "dead" && !isLost);
  }

  /** The nodes that have said that they leave, and have yet to be gone. */
  get leaving(): Node[] {
    return this.nodes.filter(({ isLost, isGone }) => isLost && !isGone);
  }

  /** Everything that matters about a state but the desk; gatherers are to describe themselves. */
  describe(): string {
    const known: RoundSeen[] = [];
    const numberOf = (round: RoundSeen | undefined): number => {
      if (round === undefined) return 0;
      if (!known.includes(round)) known.push(round);
      return known.indexOf(round) + 1;
    };
    const nodes = this.nodes.map(({ life, isLost, isGone, unanswered, tickets, ...node }) => {
      if (life === "dead") return [isLost, isGone];
      const arrivals = [...node.open].map(([ticket, { round, request: _, ...arrival }]) =>
        [ticket, numberOf(round), arrival] as const
      );
      return [life, isLost, unanswered, tickets, node.isRogue, `${node.gatherer}`, arrivals];
    });
    const links = this.busyLinks.toSorted().map((link) => [link, this.#links.get(link)!.map(show)]);
    const trees = [...this.#trees.values()].map(({ isAlive, generation }) =>
      isAlive ? generation : -1
    );
    const rounds = [...this.#rounds].map(([name, round]) => [name, numberOf(round)] as const);
    const ends = known.map(({ last, isMaimed, nodes }) => [last, isMaimed, [...nodes]] as const);
    return JSON.stringify([nodes, links, trees, rounds, ends]);
  }

  /** A thread arrives at a barrier. */
  arrive(node: Node, name: string, count: number): void {
    const ticket = ++node.tickets;
    node.unanswered++;
    const { Arrive: operation } = SyncOperation;
    const request: ArriveRequest = { kind, operation, ticket, name, count };
    this.#trace(`${node.id} arrives at ${name} of ${count}: ${ticket}`);
    const isAtDesk = node.gatherer === undefined;
    node.open.set(ticket, {
      request,
      isAtDesk,
      round: undefined,
      isCancelled: false,
      isRefused: false,
    });
    if (node.gatherer?.arrive(request) !== true) this.#askDesk(node, request);
  }

  /** A thread takes an arrival back. */
  cancel(node: Node, ticket: number): void {
    this.#trace(`${node.id} cancels ${ticket}`);
    node.open.get(ticket)!.isCancelled = true;
    if (node.gatherer?.cancel(ticket) === true) return;
    this.#send(node.id, DIRECTORY_NODE, { kind, operation: SyncOperation.Cancel, ticket });
  }

  /** Time passes at a node. */
  beat(node: Node): void {
    this.#trace(`${node.id} feels time pass`);
    if (node.gatherer !== undefined) node.gatherer.beat();
    else this.#desk(() => this.#synchronizer.beat());
  }

  /** A node sends another one reports of trees that nobody has planted, until it is found out. */
  flood(node: Node, to: Node, reports: number): void {
    this.#trace(`${node.id} sends ${to.id} ${reports} reports of no tree`);
    node.isRogue = true;
    const { Gathered: step } = GatherStep;
    for (let report = 0; report < reports && node.life === "working"; report++) {
      const tree = BARRIER_TREE_USES_MAX - this.#falseReports++;
      to.gatherer!.receive(node.id, { kind: "gather", step, tree, generation: 0 });
    }
    const isOver = reports > to.unanswered;
    if (isOver && node.life === "working") fail(`node ${to.id} keeps ${reports} false reports`);
  }

  #expel(node: Node): void {
    if (node.life === "dead") return;
    this.coverage.flooded++;
    this.die(node, (length) => length);
  }

  /** A node leaves, and says so behind what it has said before. */
  leave(node: Node): void {
    this.#trace(`${node.id} leaves`);
    this.#send(node.id, DIRECTORY_NODE, { kind: "leave" });
    node.life = "leaving";
    abandon(node);
  }

  /** A node dies; of what it has said on each link only the first messages arrive. */
  die(node: Node, arriving: (length: number) => number): void {
    this.#trace(`${node.id} dies`);
    node.life = "dead";
    abandon(node);
    for (const [key, link] of this.#links) {
      if (key.endsWith(` ${node.id}`)) link.length = 0;
      if (key.startsWith(`${node.id} `)) link.splice(arriving(link.length));
    }
  }

  /** The directory node hears that a node is dead, or leaves. */
  lose(node: Node): void {
    this.#trace(`node 1 hears that ${node.id} is ${node.life}`);
    node.isLost = true;
    for (const { isAlive, plans } of this.#trees.values()) {
      if (isAlive && (plans.get(node.id)?.children.length ?? 0) > 0) this.coverage.innerGone++;
    }
    this.#desk(() => {
      if (node.life === "dead") this.#synchronizer.peerLost(node.id);
      else this.#synchronizer.peerLeft(node.id);
    });
    for (const { isAlive, plans, number } of this.#trees.values()) {
      const isLeft = plans.keys().some((id) => !this.nodes[id - 1]!.isLost);
      if (isAlive && isLeft && plans.has(node.id)) fail(`tree ${number} waits for ${node.id}`);
    }
    node.isGone = node.life === "dead";
    if (node.isGone) this.#tellGone(node);
  }

  /** Nodes are told of one that is gone, behind what the desk has said of that. */
  #tellGone({ id }: Node): void {
    for (const to of this.nodes) {
      if (!to.isLost) this.#send(DIRECTORY_NODE, to.id, { kind: "gone", node: id });
    }
  }

  /** A node that was leaving has left. */
  finish(node: Node): void {
    this.#trace(`node 1 hears that ${node.id} has left`);
    node.isGone = true;
    node.life = "dead";
    this.#desk(() => this.#synchronizer.peerGone(node.id));
    this.#tellGone(node);
  }

  /** The next message of a link arrives. */
  deliver(key: string): void {
    const [from, to] = key.split(" ").map(Number) as [NodeId, NodeId];
    const message = this.#links.get(key)!.shift()!;
    const node = this.nodes[to - 1]!;
    if (node.life === "dead") return;
    this.#trace(`${from} -> ${to}: ${show(message)}`);
    if (message.kind === "leave") return this.lose(this.nodes[from - 1]!);
    if (message.kind === "syncReply") return this.#answered(node, message);
    if (message.kind === "gone") {
      this.#links.delete(linkOf(message.node, to));
      return node.gatherer?.peerGone(message.node);
    }
    if (to === DIRECTORY_NODE) return this.#atDesk(from, message);
    switch (message.kind) {
      case "barrierTree":
        return node.gatherer!.plan(from, message);
      case "gather":
        return this.#atGatherer(node, from, message);
      case "sync":
        fail(`node ${to} is asked`);
    }
  }

  #atGatherer(node: Node, from: NodeId, message: GatherMessage): void {
    const tree = this.#trees.get(message.tree)!;
    const before = node.gatherer!.size;
    if (message.step === GatherStep.Gathered && tree.plans.has(node.id) && tree.isAlive) {
      const ahead = this.#links.get(linkOf(DIRECTORY_NODE, node.id)) ?? [];
      const isAhead = ahead.some((one) => one.kind === "barrierTree" && one.tree === tree.number);
      if (isAhead) this.coverage.early++;
    }
    const passed = [...node.open.values()].filter(({ round }) => round !== undefined).length;
    const sent = node.open.values().filter(({ isAtDesk }) => isAtDesk).toArray().length;
    node.gatherer!.receive(from, message);
    if (message.step !== GatherStep.Dissolved || node.life !== "working") return;
    if (before === node.gatherer!.size) fail(`node ${node.id} keeps a tree that is dissolved`);
    const after = [...node.open.values()].filter(({ round }) => round !== undefined).length;
    if (after < passed) this.coverage.overtaken++;
    const sentNow = node.open.values().filter(({ isAtDesk }) => isAtDesk).toArray().length;
    if (sentNow > sent) this.coverage.forwarded++;
  }

  #atDesk(from: NodeId, message: Said): void {
    this.#desk(() => {
      if (message.kind === "gather") this.#synchronizer.gather(from, message);
      else this.#synchronizer.request(from, message as SyncRequest);
      // Threads that agree on another number of parties do without the node that is gone.
      const isArrival = message.kind === "sync" && message.operation === SyncOperation.Arrive;
      if (isArrival && this.#rounds.get(message.name)?.parties !== message.count) {
        this.#rounds.delete(message.name);
      }
    });
  }

  #askDesk(node: Node, request: ArriveRequest): void {
    const arrival = node.open.get(request.ticket);
    if (arrival !== undefined) arrival.isAtDesk = true;
    this.#send(node.id, DIRECTORY_NODE, request);
  }

  #send(from: NodeId, to: NodeId, message: Carried): void {
    if (this.nodes[to - 1]!.life === "dead" || this.nodes[from - 1]!.life === "dead") return;
    const key = linkOf(from, to);
    const link = this.#links.get(key) ?? [];
    this.#links.set(key, link);
    link.push(message);
  }

  /** The directory node takes a step; then what it has said is looked at, and sent. */
  #desk(step: () => void): void {
    this.#said = [];
    step();
    const said = this.#said;
    for (const { to, message } of said) {
      if (message.kind === "syncReply" && !isPass(message)) {
        const arrival = this.nodes[to - 1]!.open.get(message.ticket);
        if (arrival !== undefined) arrival.isRefused = true;
      }
      if (message.kind === "barrierTree") this.#planned(to, message);
      if (message.kind === "gather") this.#told(to, message);
    }
    this.#checkPlans(said);
    this.#checkDone(said);
    for (const { to, message } of said) {
      if (this.nodes[to - 1]!.isLost) fail(`node ${to} is gone, and is told ${message.kind}`);
      this.#send(DIRECTORY_NODE, to, message);
    }
  }

  #planned(to: NodeId, plan: BarrierTreeMessage): void {
    const tree = this.#trees.get(plan.tree) ?? {
      number: plan.tree,
      name: plan.name,
      parties: plan.parties,
      plans: new Map(),
      isAlive: true,
      generation: 0,
    };
    this.#trees.set(plan.tree, tree);
    tree.plans.set(to, plan);
  }

  /** A tree spans all its nodes, each of which has one parent. */
  #checkPlans(said: readonly { message: Said }[]): void {
    const numbers = said.flatMap(({ message }) =>
      message.kind === "barrierTree" ? [message.tree] : []
    );
    for (const number of new Set(numbers)) {
      const { plans } = this.#trees.get(number)!;
      if ([...plans.values()].some(({ children }) => children.length > 0)) this.coverage.deep++;
      if (plans.size >= BARRIER_TREE_NODES) this.coverage.large++;
      for (const [node, { parent, children }] of plans) {
        const isKnown = parent === DIRECTORY_NODE || plans.get(parent)!.children.includes(node);
        const isTheirs = children.every((child) => plans.get(child)?.parent === node);
        let above = parent;
        for (let steps = 0; above !== DIRECTORY_NODE && steps <= plans.size; steps++) {
          above = plans.get(above)!.parent;
        }
        if (!isKnown || !isTheirs || above !== DIRECTORY_NODE) fail(`tree ${number} is none`);
      }
    }
  }

  /** The root says that a generation is over, or a tree. */
  #told(to: NodeId, { step, tree: number, generation }: GatherMessage): void {
    const tree = this.#trees.get(number) ?? fail(`nobody was told of tree ${number}`);
    if (step === GatherStep.Released) {
      // Of several children only the first brings something new.
      if (generation === tree.generation - 1) return;
      if (generation !== tree.generation || !tree.isAlive) fail(`generation ${generation} is over`);
      tree.generation++;
      return this.#passTree(tree);
    }
    if (step !== GatherStep.Dissolved) fail(`the desk says step ${step}`);
    if (generation !== tree.generation) fail(`generation ${generation} is not under way`);
    if (tree.isAlive) this.coverage.dissolved++;
    tree.isAlive = false;
    if (!tree.plans.has(to)) fail(`node ${to} is not of tree ${number}`);
  }

  /** All that a generation of a tree stands for must wait now, and is to be told. */
  #passTree(tree: TreeSeen): void {
    const { name, parties, plans } = tree;
    const shares = new Map([...plans].map(([node, { arrivals }]) => [node, arrivals]));
    const far = [...shares.values()].reduce((sum, share) => sum + share, 0);
    shares.set(DIRECTORY_NODE, parties - far);
    const round: RoundSeen = {
      parties,
      last: 0,
      isMaimed: false,
      nodes: new Set([...shares].filter(([, share]) => share > 0).map(([node]) => node)),
    };
    for (const [id, share] of shares) {
      const node = this.nodes[id - 1]!;
      // What a node that is gone has reported was so.
      if (node.life !== "working") {
        round.isMaimed = true;
        continue;
      }
      const waiting = node.open.values().filter(({ request, round: over, isAtDesk, isRefused }) =>
        over === undefined && !isRefused && request.name === name && request.count === parties &&
        isAtDesk === (id === DIRECTORY_NODE)
      ).toArray();
      if (waiting.length < share) fail(`${name} goes on, and node ${id} has not arrived`);
      for (const arrival of waiting.slice(0, share)) arrival.round = round;
    }
    this.#rounds.set(name, round);
    this.coverage.byTree++;
  }

  /** The desk completes a round by itself only with as many threads as it takes. */
  #checkDone(said: readonly { to: NodeId; message: Said }[]): void {
    const passed: Arrival[] = [];
    const nodes = new Set<NodeId>();
    /** The answers to threads of nodes that are going, and one arrival that they are for. */
    let unknown = 0;
    let abandoned: ArriveRequest | undefined;
    for (const { to, message } of said) {
      if (message.kind !== "syncReply") continue;
      if (!isPass(message)) continue;
      const { ticket } = message;
      const { life, open } = this.nodes[to - 1]!;
      if (life === "working") {
        const arrival = open.get(ticket) ?? fail(`${to}.${ticket} is answered twice`);
        if (arrival.round !== undefined) continue;
        passed.push(arrival);
      } else {
        unknown++;
        abandoned ??= this.nodes[to - 1]!.abandoned.get(ticket);
      }
      nodes.add(to);
    }
    const request = passed[0]?.request ?? abandoned;
    if (request === undefined) return;
    const { name, count } = request;
    const alike = passed.every(({ request, isAtDesk }) =>
      isAtDesk && request.name === name && request.count === count
    );
    const goes = passed.length + unknown;
    if (!alike || goes !== count) fail(`${name} of ${count} lets ${goes} go`);
    const round = { parties: count, last: 0, isMaimed: unknown > 0, nodes };
    for (const arrival of passed) arrival.round = round;
    this.#rounds.set(name, round);
    this.coverage.byDesk++;
  }

  /** A thread is answered. */
  #answered(node: Node, { ticket, status }: SyncReply): void {
    node.unanswered--;
    if (node.life !== "working") return;
    const name = `${node.id}.${ticket}`;
    this.#trace(`${name} is answered ${status}`);
    const arrival = node.open.get(ticket) ?? fail(`${name} is answered twice`);
    node.open.delete(ticket);
    const { round, isCancelled, request } = arrival;
    switch (status) {
      case SyncStatus.Done:
      case SyncStatus.Last:
        if (round === undefined) return fail(`${name} goes on, and has to wait`);
        if (status === SyncStatus.Last && ++round.last > 1) fail(`${name} is last as well`);
        if (isCancelled) this.coverage.cancelledTooLate++;
        this.#checkLast(name, round);
        return;
      case SyncStatus.Cancelled:
        if (!isCancelled) fail(`${name} was not taken back`);
        this.coverage.cancelled++;
        break;
      case SyncStatus.PeerLost:
        if (!this.nodes.some(({ isGone }) => isGone)) fail(`${name} has lost nobody`);
        this.coverage.peerLost++;
        break;
      case SyncStatus.PartiesMismatch:
        this.coverage.mismatch++;
        break;
      default:
        fail(`${name} is answered ${status}`);
    }
    if (round !== undefined) {
      fail(`${name} of ${request.name} may go on, and is answered ${status}`);
    }
  }

  /** Once all have been told, one of them was the last. */
  #checkLast(name: string, round: RoundSeen): void {
    const isOver = !this.nodes.some(({ open }) =>
      open.values().some((arrival) => arrival.round === round)
    );
    if (isOver && !round.isMaimed && round.last !== 1) fail(`nobody is the last, beside ${name}`);
  }

  /** Nothing is on its way: what waits has to. */
  checkQuiescence(): void {
    const waiting = new Map<string, Map<number, number>>();
    for (const { id, gatherer, open } of this.working) {
      for (const [ticket, { round, isAtDesk, request, isCancelled }] of open) {
        if (round !== undefined) fail(`${id}.${ticket} may go on, and is not told`);
        if (isCancelled) fail(`${id}.${ticket} was taken back, and is not answered`);
        if (!isAtDesk) fail(`${id}.${ticket} is kept, and nobody knows`);
        const counts = waiting.get(request.name) ?? new Map<number, number>();
        waiting.set(request.name, counts.set(request.count, (counts.get(request.count) ?? 0) + 1));
      }
      const alive = this.#trees.values().filter(({ isAlive, plans }) => isAlive && plans.has(id));
      if ((gatherer?.size ?? 0) !== (gatherer === undefined ? 0 : alive.toArray().length)) {
        fail(`node ${id} is in ${gatherer!.size} trees`);
      }
      const isRogueHere = this.nodes.some(({ isRogue, life }) => isRogue && life !== "dead");
      if (!isRogueHere && (gatherer?.early ?? 0) > 0) fail(`node ${id} keeps reports of no tree`);
    }
    for (const [name, counts] of waiting) {
      if (counts.size > 1) fail(`threads wait at ${name} for different parties`);
      const [[count, arrived]] = [...counts] as [[number, number]];
      if (arrived >= count) fail(`${arrived} wait at ${name} of ${count}`);
      const { parties = 0, nodes = new Set<NodeId>() } = this.#rounds.get(name) ?? {};
      // What one node alone does ends with that node.
      const isLost = nodes.size > 1 && [...nodes].some((node) => this.nodes[node - 1]!.isGone);
      if (this.#remembersAll && isLost && parties === count) {
        fail(`threads wait at ${name} for a node that is gone`);
      }
    }
  }
}

/** No thread of a node takes an answer any more, which may be that it was the last. */
function abandon({ open, abandoned }: Node): void {
  for (const [ticket, { request, round }] of open) {
    abandoned.set(ticket, request);
    if (round !== undefined) round.isMaimed = true;
  }
  open.clear();
}

/** Whether an answer lets its thread go on. */
function isPass({ status }: SyncReply): boolean {
  return status === SyncStatus.Done || status === SyncStatus.Last;
}

function linkOf(from: NodeId, to: NodeId): string {
  return `${from} ${to}`;
}

function show(message: Carried): string {
  return Object.entries(message).map(([field, value]) => `${field} ${value}`).join(", ");
}
