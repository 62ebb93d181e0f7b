/**
 * Faults put into the waits for words on purpose: both the simulator and the exhaustive checker
 * must find each of them.
 */

import {
  FutexDesk,
  type FutexNotifier,
  type FutexWaiter,
} from "../../../runtime/protocol/sync/futexes.ts";
import { LentWords } from "../../../runtime/protocol/sync/lent_words.ts";
import { SyncOperation } from "../../../runtime/protocol/sync/messages.ts";
import { FUTEX_PARTS, type FutexParts } from "./futex_world.ts";

class LateDesk extends FutexDesk {
  protected override isBefore(): boolean {
    return true;
  }
}

class HastyDesk extends FutexDesk {
  protected override isHeard(): boolean {
    return true;
  }
}

class BlindDesk extends FutexDesk {
  protected override hasYetToLook(): boolean {
    return false;
  }
}

class UnheldDesk extends FutexDesk {
  protected override isHeld(request: FutexWaiter | FutexNotifier): boolean {
    return request.kind === "waiter" && super.isHeld(request);
  }
}

class DeafDesk extends FutexDesk {
  protected override isQuietElsewhere(): boolean {
    return false;
  }
}

class GreedyDesk extends FutexDesk {
  protected override mayMove(): boolean {
    return true;
  }
}

class CarelessDesk extends FutexDesk {
  protected override mayComeBack(): boolean {
    return true;
  }
}

class RashDesk extends FutexDesk {
  protected override isSettled(): boolean {
    return true;
  }
}

class RashWords extends LentWords {
  constructor(...[node, outbox, limits, state]: ConstructorParameters<typeof LentWords>) {
    super(node, outbox, limits, state, RashDesk);
  }
}

class EarlyWords extends LentWords {
  protected override giveBack(key: bigint, tickets: readonly number[]): void {
    super.giveBack(key, []);
    for (const ticket of tickets) {
      this.outbox.tell({ kind: "sync", operation: SyncOperation.FutexMoved, ticket, key });
    }
  }
}

class ForgetfulWords extends LentWords {
  protected override giveBack(key: bigint): void {
    super.giveBack(key, []);
  }
}

class RoomyWords extends LentWords {
  protected override isFull(): boolean {
    return false;
  }
}

/** A fault. */
export interface PlantedFutexBug {
  /** What is wrong. */
  readonly name: string;
  /** The parts with the fault. */
  readonly parts: FutexParts;
  /** What is said of it. */
  readonly finding: RegExp;
  /** Whether it shows only where words are lent. */
  readonly isOfLending?: boolean;
}

/** Every planted bug. */
export const PLANTED_FUTEX_BUGS: readonly PlantedFutexBug[] = [
  {
    name: "a thread looks at its word before its wait is acknowledged",
    parts: { ...FUTEX_PARTS, looksEarly: true },
    finding: /has missed a wake-up/,
  },
  {
    name: "a notify wakes a wait that was registered after it",
    parts: { ...FUTEX_PARTS, FutexDesk: LateDesk },
    finding: /is woken, and came behind the notify|a notify waits for nobody|are not done/,
  },
  {
    name: "a wait is acknowledged though a node takes its word for quiet",
    parts: { ...FUTEX_PARTS, FutexDesk: HastyDesk },
    finding: /takes word \d+ for quiet, and a wait there is acknowledged/,
  },
  {
    name: "a notify wakes a wait whose thread has yet to look",
    parts: { ...FUTEX_PARTS, FutexDesk: BlindDesk },
    finding: /is woken, and has yet to look|\w+ is answered \d+/,
  },
  {
    name: "a node says that it has heard before it has moved its waits",
    parts: { ...FUTEX_PARTS, LentWords: EarlyWords },
    isOfLending: true,
    finding: /word \d+ is given back, and \d+\.\d+ is not/,
  },
  {
    name: "a node gives a word back without its waits",
    parts: { ...FUTEX_PARTS, LentWords: ForgetfulWords },
    isOfLending: true,
    finding: /word \d+ is given back, and \d+\.\d+ is not|\d+ are not done/,
  },
  {
    name: "a node gives a word back before its threads have looked",
    parts: { ...FUTEX_PARTS, LentWords: RashWords },
    isOfLending: true,
    finding: /is woken, and has yet to look|word \d+ is given back, and \d+\.\d+ is not/,
  },
  {
    name: "a node serves more waits than may be moved",
    parts: { ...FUTEX_PARTS, LentWords: RoomyWords },
    isOfLending: true,
    finding: /moves more waits for word \d+ than it may have/,
  },
  {
    name: "a notify is not held until its word is given back",
    parts: { ...FUTEX_PARTS, FutexDesk: UnheldDesk },
    isOfLending: true,
    finding: /word \d+ is called quiet, and is not|takes word \d+ for quiet|has missed a wake-up/,
  },
  {
    name: "a notify comes back to a thread that may have gone on",
    parts: { ...FUTEX_PARTS, FutexDesk: CarelessDesk },
    isOfLending: true,
    finding: /a notify comes back that nobody may read/,
  },
  {
    name: "a wait that comes back with its word is not given up though its thread is gone",
    parts: { ...FUTEX_PARTS, forgetsGone: true },
    isOfLending: true,
    finding: /is never answered/,
  },
  {
    name: "a word is lent that is quiet for another node",
    parts: { ...FUTEX_PARTS, FutexDesk: DeafDesk },
    isOfLending: true,
    finding: /takes word \d+ for quiet, and a wait there is acknowledged/,
  },
  {
    name: "a word is lent with the waits of another node, or of threads that have yet to look",
    parts: { ...FUTEX_PARTS, FutexDesk: GreedyDesk },
    isOfLending: true,
    finding:
      /word \d+ is lent to \d+, and \d+ waits there|stays under ticket \d+, and did not look/,
  },
];
