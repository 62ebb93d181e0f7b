/**
 * Faults put into the trees of barriers on purpose: a simulator that does not find each of them
 * would not find the like either.
 */

import { DIRECTORY_NODE, type NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import { BarrierGatherer } from "../../../runtime/protocol/sync/barrier_gatherer.ts";
import { Barriers } from "../../../runtime/protocol/sync/barriers.ts";
import { SyncDesk } from "../../../runtime/protocol/sync/desk.ts";
import { type GatherMessage, GatherStep } from "../../../runtime/protocol/sync/messages.ts";
import { BARRIER_PARTS, type BarrierParts } from "./barrier_world.ts";

class HastyRoot extends Barriers {
  protected override hasGathered(
    ...[arrived, { arrivals, children, reported }]: Parameters<Barriers["hasGathered"]>
  ): boolean {
    return arrived >= arrivals && reported.size >= Math.max(1, children.length - 1);
  }
}

class HastyGatherer extends BarrierGatherer {
  protected override isGathered(
    { plan, kept, reported }: Parameters<BarrierGatherer["isGathered"]>[0],
  ): boolean {
    return kept.length >= plan.arrivals && reported.size >= plan.children.length - 1;
  }
}

class ForgetfulDesk extends SyncDesk {
  readonly #children = new Set<string>();
  override tell(...[to, message]: Parameters<SyncDesk["tell"]>): void {
    const key = `${message.tree} ${to}`;
    if (message.kind === "barrierTree" && message.parent === DIRECTORY_NODE) {
      this.#children.add(key);
    }
    const isDissolved = message.kind === "gather" && message.step === GatherStep.Dissolved;
    if (!isDissolved || this.#children.has(key)) super.tell(to, message);
  }
}

class DeafDesk extends SyncDesk {
  readonly #parents = new Map<string, NodeId>();
  override tell(...[to, message]: Parameters<SyncDesk["tell"]>): void {
    const key = `${message.tree} ${to}`;
    if (message.kind === "barrierTree") this.#parents.set(key, message.parent);
    const isDissolved = message.kind === "gather" && message.step === GatherStep.Dissolved;
    if (!isDissolved || this.serves(this.#parents.get(key)!)) super.tell(to, message);
  }
}

class StaleGatherer extends BarrierGatherer {
  protected override isGathered(
    { plan, kept, reported, generation }: Parameters<BarrierGatherer["isGathered"]>[0],
  ): boolean {
    // All children have reported in the generation before.
    const isComplete = generation > 0 || reported.size === plan.children.length;
    return kept.length >= plan.arrivals && isComplete;
  }
}

class MixingGatherer extends BarrierGatherer {
  readonly #generations = new Map<number, number>();
  override receive(from: NodeId, message: GatherMessage): void {
    const { step, tree, generation } = message;
    if (step === GatherStep.Released) this.#generations.set(tree, generation + 1);
    const known = this.#generations.get(tree) ?? 0;
    const isDissolved = step === GatherStep.Dissolved;
    super.receive(from, isDissolved ? { ...message, generation: known } : message);
  }
}

class FickleGatherer extends BarrierGatherer {
  protected override isReported(): boolean {
    return false;
  }
}

class PatientGatherer extends BarrierGatherer {
  override beat(): void {}
}

class SharingGatherer extends BarrierGatherer {
  constructor(...[outbox, unanswered]: ConstructorParameters<typeof BarrierGatherer>) {
    super(outbox, (): number => this.early < unanswered() ? Infinity : 0);
  }
}

class GreedyGatherer extends BarrierGatherer {
  constructor(...[outbox]: ConstructorParameters<typeof BarrierGatherer>) {
    super(outbox, () => Infinity);
  }
}

class MindfulGatherer extends BarrierGatherer {
  override peerGone(): void {}
}

class LoyalBarriers extends Barriers {
  override peerLeft(): void {}
}

class StrictBarriers extends Barriers {
  override gather(from: NodeId, message: GatherMessage): void {
    const { step, tree: number, generation } = message;
    const tree = this.rounds.values().map(({ tree }) => tree).find((tree) =>
      tree?.number === number
    );
    const isLate = tree !== undefined && generation < tree.generation - 1;
    if (step === GatherStep.Recall && isLate) this.desk.violation(from, "a recall is not due");
    else super.gather(from, message);
  }
}

/** A fault. */
export interface PlantedBarrierBug {
  /** What is wrong. */
  readonly name: string;
  /** The parts with the fault. */
  readonly parts: BarrierParts;
  /** What the simulator says of it. */
  readonly finding: RegExp;
  /** The seed from which on schedules find it soon; the first one unless said. */
  readonly seed?: number;
  /** Whether the worlds of the checker are too small for it. */
  readonly isLarge?: boolean;
}

/** Every planted bug. */
export const PLANTED_BARRIER_BUGS: readonly PlantedBarrierBug[] = [
  {
    name: "the root releases a barrier before its last child has reported",
    parts: { ...BARRIER_PARTS, Barriers: HastyRoot },
    finding: /goes on, and node \d+ has not arrived|which is not due/,
  },
  {
    name: "a node reports before its last child has",
    parts: { ...BARRIER_PARTS, BarrierGatherer: HastyGatherer },
    finding: /goes on, and node \d+ has not arrived|which is not due/,
  },
  {
    name: "the nodes below a node that is gone are forgotten",
    parts: { ...BARRIER_PARTS, SyncDesk: ForgetfulDesk },
    finding:
      /is kept, and nobody knows|may go on, and is not told|was taken back, and|is in \d trees/,
  },
  {
    name: "nodes whose parent is gone are not told, and report to it for ever",
    parts: { ...BARRIER_PARTS, SyncDesk: DeafDesk },
    finding:
      /is kept, and nobody knows|may go on, and is not told|was taken back, and|is in \d trees/,
  },
  {
    name: "a report of the last round counts for this one",
    parts: { ...BARRIER_PARTS, BarrierGatherer: StaleGatherer },
    finding: /goes on, and node \d+ has not arrived|which is not due/,
  },
  {
    name: "a generation that is complete is taken for the one under way",
    parts: { ...BARRIER_PARTS, BarrierGatherer: MixingGatherer },
    finding: /may go on, and is|has to wait|is answered twice|lets \d+ go|cannot meet/,
  },
  {
    name: "an arrival is taken back that is reported",
    parts: { ...BARRIER_PARTS, BarrierGatherer: FickleGatherer },
    finding: /goes on, and node \d+ has not arrived|may go on, and is answered/,
  },
  {
    name: "a node keeps arrivals for ever",
    parts: { ...BARRIER_PARTS, BarrierGatherer: PatientGatherer },
    finding: /is kept, and nobody knows/,
  },
  {
    name: "reports ahead of their trees are counted for all senders together",
    parts: { ...BARRIER_PARTS, BarrierGatherer: SharingGatherer },
    finding: /node \d+, to node \d+: step 1 .* is not due/,
    isLarge: true,
  },
  {
    name: "reports ahead of their trees are not counted",
    parts: { ...BARRIER_PARTS, BarrierGatherer: GreedyGatherer },
    finding: /keeps \d+ false reports/,
    isLarge: true,
  },
  {
    name: "reports of a node that is gone are kept",
    parts: { ...BARRIER_PARTS, BarrierGatherer: MindfulGatherer },
    finding: /keeps reports of no tree/,
    isLarge: true,
  },
  {
    name: "a tree waits for a node that leaves",
    parts: { ...BARRIER_PARTS, Barriers: LoyalBarriers },
    finding: /tree \d+ waits for \d+/,
  },
  {
    name: "a recall that later reports have overtaken is taken for a breach",
    parts: { ...BARRIER_PARTS, Barriers: StrictBarriers },
    finding: /a recall is not due/,
    seed: 3_390,
  },
];
