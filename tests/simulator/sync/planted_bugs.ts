/**
 * Faults put into the synchronizer on purpose: a simulator that does not find each of them would
 * not find the like either.
 */

import { Barriers } from "../../../runtime/protocol/sync/barriers.ts";
import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import { Mutexes } from "../../../runtime/protocol/sync/mutexes.ts";
import { Semaphores } from "../../../runtime/protocol/sync/semaphores.ts";
import { SyncDesk, type Waiter, type WaitPlace } from "../../../runtime/protocol/sync/desk.ts";
import { SyncStatus } from "../../../runtime/protocol/sync/messages.ts";
import { SYNC_PARTS, type SyncParts } from "../../../runtime/protocol/sync/synchronizer.ts";

/** A fault. */
export interface PlantedSyncBug {
  /** What is wrong. */
  readonly name: string;
  /** The parts with the fault. */
  readonly parts: SyncParts;
  /** What the simulator says of it. */
  readonly finding: RegExp;
}

class UnfairSemaphores extends Semaphores {
  protected override next({ waiting }: WaitPlace<bigint>): Waiter {
    return waiting.first!.next ?? waiting.first!;
  }
}

class LossySemaphores extends Semaphores {
  override release(from: NodeId, ticket: number, key: bigint, count: number): void {
    super.release(from, ticket, key, count === 3 ? 2 : count);
  }
}

class HastyBarriers extends Barriers {
  protected override isComplete(arrived: number, parties: number): boolean {
    return arrived >= Math.max(1, parties - 1);
  }
}

class SharedMutexes extends Mutexes {
  #asked = 0;
  protected override isFree(mutex: { readonly isLocked: boolean }): boolean {
    return super.isFree(mutex) || ++this.#asked % 10 === 0;
  }
}

class SilentMutexes extends Mutexes {
  protected override status(): SyncStatus {
    return SyncStatus.Done;
  }
}

class TrustingMutexes extends Mutexes {
  override unlock(from: NodeId, ticket: number, lock: number): void {
    super.unlock(from, ticket, lock, false);
  }
}

class LoyalDesk extends SyncDesk {
  override dismiss(node: NodeId): void {
    for (const holding of this.members.get(node)?.held.values() ?? []) holding.giveBack(true);
  }
}

class TrustfulDesk extends SyncDesk {
  override dismissThread(): void {}
}

class HoardingDesk extends SyncDesk {
  override cancel(node: NodeId, ticket: number): void {
    const waiter = this.members.get(node)!.waiting.get(ticket);
    if (waiter !== undefined) this.serve(waiter, SyncStatus.Cancelled);
  }
}

class DeafDesk extends SyncDesk {
  override cancel(node: NodeId, ticket: number): void {
    if (ticket % 5 !== 0) super.cancel(node, ticket);
  }
}

class PatientBarriers extends Barriers {
  protected override break(): void {}
}

class ForgetfulBarriers extends Barriers {
  protected override remember(): void {}
}

/** Takes a node that begins to leave for one that has left. */
class RashBarriers extends Barriers {
  constructor(desk: SyncDesk) {
    super(desk);
    const dismiss = desk.dismiss.bind(desk);
    desk.dismiss = (node) => {
      dismiss(node);
      this.peerGone(node);
    };
  }
}

class CredulousDesk extends SyncDesk {
  override isEverybodyAt(): boolean {
    return true;
  }
}

class RashDesk extends SyncDesk {
  override doAllWait(): boolean {
    return this.waiting > 0;
  }
}

class GenerousDesk extends SyncDesk {
  override hasRoom(): boolean {
    return true;
  }
}

class HeirlessDesk extends SyncDesk {
  protected override bequeath(place: WaitPlace): void {
    place.charge(this.orphans);
  }
}

/** Every planted bug. */
export const PLANTED_SYNC_BUGS: readonly PlantedSyncBug[] = [
  {
    name: "serves the second before the first",
    parts: { ...SYNC_PARTS, Semaphores: UnfairSemaphores },
    finding: /came first, and still waits/,
  },
  {
    name: "loses a permit",
    parts: { ...SYNC_PARTS, Semaphores: LossySemaphores },
    finding: /counts \d+ permits of \d+/,
  },
  {
    name: "lets a barrier go before the last has arrived",
    parts: { ...SYNC_PARTS, Barriers: HastyBarriers },
    finding: /answered \[.* not \[\]/,
  },
  {
    name: "gives a mutex to two",
    parts: { ...SYNC_PARTS, Mutexes: SharedMutexes },
    finding: /mutex \w is locked by .* has it/,
  },
  {
    name: "does not tell that a mutex was abandoned",
    parts: { ...SYNC_PARTS, Mutexes: SilentMutexes },
    finding: /is answered 1, abandoned: true/,
  },
  {
    name: "takes a mutex whose thread has ended for one that was unlocked",
    parts: { ...SYNC_PARTS, Mutexes: TrustingMutexes },
    finding: /is answered 1, abandoned: true|are counted as made by/,
  },
  {
    name: "keeps the places of the dead",
    parts: { ...SYNC_PARTS, SyncDesk: LoyalDesk },
    finding: /\d+ wait, not \d+|is gone, and is answered|have no maker any more/,
  },
  {
    name: "keeps the places of threads whose links have ended",
    parts: { ...SYNC_PARTS, SyncDesk: TrustfulDesk },
    finding: /\d+ wait, not \d+|\d+ mutexes are held, not \d+|are counted as made by/,
  },
  {
    name: "remembers what is idle",
    parts: { ...SYNC_PARTS, SyncDesk: HoardingDesk },
    finding: /are counted as made by|left in memory/,
  },
  {
    name: "does not hear a cancel",
    parts: { ...SYNC_PARTS, SyncDesk: DeafDesk },
    finding: /answered \[\], not \[.* status 6/,
  },
  {
    name: "lets those wait whose party is gone",
    parts: { ...SYNC_PARTS, Barriers: PatientBarriers },
    finding: /answer(ed|s) \[\], not \[.* status 11/,
  },
  {
    name: "forgets which nodes took part in a barrier's last round",
    parts: { ...SYNC_PARTS, Barriers: ForgetfulBarriers },
    finding: /answered \[.*\], not \[.* status 11/,
  },
  {
    name: "tells of a node that leaves before it has left",
    parts: { ...SYNC_PARTS, Barriers: RashBarriers },
    finding: /answered \[.* status 11.*\], not \[\]/,
  },
  {
    name: "takes a barrier for stuck at which not all wait",
    parts: { ...SYNC_PARTS, SyncDesk: CredulousDesk },
    finding: /as time passes it answers \[.* status 11.*\], not \[\]/,
  },
  {
    name: "tells of waits without an end though a thread is at work",
    parts: { ...SYNC_PARTS, SyncDesk: RashDesk },
    finding: /of waits without an end it tells \[\{.*, not \[\]/,
  },
  {
    name: "lets a node make more than its share",
    parts: { ...SYNC_PARTS, SyncDesk: GenerousDesk },
    finding: /makes more than it may/,
  },
  {
    name: "gives what a node had made to none of those that use it",
    parts: { ...SYNC_PARTS, SyncDesk: HeirlessDesk },
    finding: /are counted as made by|have no maker any more/,
  },
];
