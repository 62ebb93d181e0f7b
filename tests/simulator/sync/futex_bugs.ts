/**
 * Faults put into the waits for words on purpose: both the simulator and the exhaustive checker
 * must find each of them.
 */

import { FutexDesk } from "../../../runtime/protocol/sync/futexes.ts";
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

/** A fault. */
export interface PlantedFutexBug {
  /** What is wrong. */
  readonly name: string;
  /** The parts with the fault. */
  readonly parts: FutexParts;
  /** What is said of it. */
  readonly finding: RegExp;
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
];
