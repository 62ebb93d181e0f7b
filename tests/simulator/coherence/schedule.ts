/**
 * One run of the simulator: a seed makes a cluster, its programs and everything that happens to it.
 */

import { checkQuiescence } from "./invariants.ts";
import { Choices } from "./choices.ts";
import type { Link, SimulatedNode, Thread } from "./node.ts";
import { fail } from "./oracle.ts";
import type { Incident } from "./plan.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** More steps than any schedule needs that comes to an end. */
const STEPS_MAX = 50_000;

/** A schedule while it runs. */
export class Schedule {
  readonly world: World;
  readonly #random: Random;
  readonly #choices = new Choices();
  readonly #acts: ReturnType<typeof actsOf>;
  readonly #incidents: Incident[];
  readonly #leavers = new Set<SimulatedNode>();
  /** The sources that are to die: whether others must be dropping copies for the same write. */
  readonly #kills: boolean[] = [];
  /** Whether the home closes once its program has come to its end. */
  #closes = false;
  readonly #weights: Record<"deliver" | "run" | "fault" | "tick" | "resume", number>;
  /** How slow each link is, the slowest 1. */
  readonly #paces: number[];
  readonly #pauseUs: number;
  steps = 0;

  /**
   * @param random Where chance comes from.
   * @param world The cluster, in which nothing has happened yet.
   * @param incidents What happens to its nodes, the last first.
   */
  constructor(random: Random, world: World, incidents: Incident[]) {
    this.#random = random;
    this.world = world;
    this.#acts = actsOf(world);
    this.#incidents = incidents;
    this.#weights = {
      deliver: random.between(1, 8),
      run: random.between(1, 8),
      fault: random.between(1, 8),
      tick: random.between(1, 8),
      resume: random.chance(50) ? 0 : random.between(1, 8),
    };
    this.#paces = this.world.links.map(() => random.chance(20) ? 1 : random.between(4, 16));
    this.#pauseUs = random.between(1, 12);
  }

  /**
   * Runs it to its end.
   *
   * @throws {InvariantError} When a promise of the protocol is broken.
   */
  run(): void {
    while (this.step()) {
      if (this.steps > STEPS_MAX) fail(`no end after ${STEPS_MAX} steps`);
    }
    checkQuiescence(this.world.nodes, this.world.pageCount, this.world.oracle);
  }

  /** Takes one step; returns whether there was one to take. */
  step(): boolean {
    const { world } = this;
    world.now += this.#random.below(this.#pauseUs);
    this.pass();
    while ((this.#incidents.at(-1)?.step ?? Infinity) <= this.steps) {
      this.#happen(this.#incidents.pop()!);
    }
    if (this.#kills.length > 0) this.#killSource();
    if (this.#weights.resume > 0 && this.#random.chance(2)) this.#resumeAny();
    this.steps++;
    if (this.#act()) return true;
    const deadline = Math.min(
      ...world.nodes.map((node) => node.present && !node.frozen ? node.engine.deadline : Infinity),
      ...world.nodes.map((node) => this.#mayTellRoom(node) ? world.roomNewsAt(node) : Infinity),
    );
    if (deadline !== Infinity || this.waits) {
      world.now = Math.max(world.now, Math.min(deadline, this.nextUs));
    } else if (this.#incidents.length > 0) this.#happen(this.#incidents.pop()!);
    else if (world.nodes[0]!.directory.hasResting) world.beat();
    else return false;
    return true;
  }

  /** Time has passed. */
  protected pass(): void {}

  /** When something happens by itself next, in microseconds. */
  protected get nextUs(): number {
    return Infinity;
  }

  /** Whether something will happen by itself. */
  protected get waits(): boolean {
    return false;
  }

  /** Offers what else can happen now. */
  protected offer(_choices: Choices): void {}

  #happen(incident: Incident): void {
    switch (incident.kind) {
      case "join":
        if (this.steps > 0) this.world.reach("lateJoin");
        return this.world.join(incident.node);
      case "leave":
        if (incident.node.status === "live") this.#leavers.add(incident.node);
        return;
      case "kill":
        if (incident.node.present) this.world.kill(incident.node);
        return;
      case "openWindow":
        return this.world.openWindow(incident.node);
      case "free":
        this.world.free(incident);
        if (incident.user !== undefined) this.world.reuse(incident, incident.user);
        return;
      case "beat":
        return this.world.beat();
      case "close":
        this.#closes = true;
        return;
      case "killSource":
        this.#kills.push(incident.shared);
        return;
      default:
        incident satisfies never;
    }
  }

  /** A driver may find that threads have run when no demand waits any more, or be wrong. */
  #resumeAny(): void {
    const { nodes, pageCount } = this.world;
    const node = nodes[this.#random.below(nodes.length)]!;
    if (node.present && !node.frozen) this.world.resumed(node, this.#random.below(pageCount));
  }

  #killSource(): void {
    const { nodes } = this.world;
    const isShared = this.#kills.at(-1)!;
    const source = nodes.filter(({ present, engine }) => present && engine.directory !== undefined)
      .flatMap(({ directory }) => directory.sources(isShared))
      .find((id) => nodes[id - 1]!.present);
    if (source === undefined) return;
    this.#kills.pop();
    this.world.kill(nodes[source - 1]!);
  }

  /** Does one of the things that can happen now; returns whether there was any. */
  #act(): boolean {
    const { world } = this;
    const { links, nodes } = world;
    this.#choices.clear();
    for (let index = 0; index < links.length; index++) {
      const link = links[index]!;
      if (!world.canDeliver(link)) continue;
      const weight = this.#weights.deliver * this.#paces[index]!;
      this.#choices.offer(weight, this.#acts.deliver, link, undefined);
    }
    for (const node of nodes) this.#offerNode(node);
    this.offer(this.#choices);
    return this.#choices.draw(this.#random);
  }

  /** Whether a node could tell how much room it has: what it told last has arrived. */
  #mayTellRoom({ id, present, frozen, rooms }: SimulatedNode): boolean {
    return id !== 1 && present && !frozen && rooms.length === 0;
  }

  #offerNode(node: SimulatedNode): void {
    const acts = this.#acts;
    const choices = this.#choices;
    if (node.endUnnoticed && this.world.link(node.id, 1).frames.length === 0) {
      choices.offer(4, acts.noticeEnd, node, undefined);
    }
    if (node.rooms.length > 0 && this.world.nodes[0]!.present) {
      choices.offer(4, acts.hearRoom, node, undefined);
    }
    if (!node.present || node.frozen) return;
    if (this.#mayTellRoom(node) && this.world.roomNewsAt(node) <= this.world.now) {
      choices.offer(2, acts.tellRoom, node, undefined);
    }
    if (node.cache.hasDeadBytes) choices.offer(1, acts.idle, node, undefined);
    if (node.id === 1 && this.#closes && node.finished && !node.directory.isClosing) {
      choices.offer(8, acts.close, node, undefined);
    }
    const { run, fault, tick, resume } = this.#weights;
    for (const thread of node.threads) {
      if (thread.blocked || thread.next === thread.program.length) continue;
      choices.offer(run * thread.pace, acts.run, node, thread);
    }
    if (node.faults.length > 0) choices.offer(fault * 8, acts.readFault, node, undefined);
    else if (node.lastFault !== undefined) choices.offer(1, acts.repeatFault, node, undefined);
    for (const page of node.engine.awaitedPages) choices.offer(resume, acts.resumed, node, page);
    if (node.engine.deadline <= this.world.now) choices.offer(tick * 8, acts.tick, node, undefined);
    if (node.engine.hasWork) choices.offer(run, acts.work, node, undefined);
    if (node.status === "live" && this.#leavers.has(node) && node.finished) {
      choices.offer(8, acts.leave, node, undefined);
    }
  }
}

function actsOf(world: World) {
  return {
    deliver: (link: Link) => world.deliver(link),
    noticeEnd: (node: SimulatedNode) => world.noticeEnd(node),
    run: (node: SimulatedNode, thread: Thread) => world.run(node, thread),
    readFault: (node: SimulatedNode) => world.readFault(node),
    repeatFault: (node: SimulatedNode) => world.repeatFault(node),
    resumed: (node: SimulatedNode, page: number) => world.resumed(node, page),
    tick: (node: SimulatedNode) => world.tick(node),
    tellRoom: (node: SimulatedNode) => world.tellRoom(node),
    hearRoom: (node: SimulatedNode) => world.hearRoom(node),
    idle: (node: SimulatedNode) => world.idle(node),
    close: () => world.close(),
    work: (node: SimulatedNode) => world.work(node),
    leave: (node: SimulatedNode) => world.leave(node),
  };
}
