/**
 * Faults put into the protocol or its driver on purpose. A simulator or a checker that does not find
 * each of them would not find the like either.
 */

import type { GrantMessage, NodeId } from "../../runtime/protocol/messages.ts";
import { PageState } from "../../runtime/protocol/page.ts";
import { ProbeCache, ProbeDirectory, type ProbeParts, SOUND_PARTS } from "./probes.ts";

/** A fault, in the parts of the engine or in the driver. */
export interface PlantedBug {
  /** What is wrong. */
  readonly name: string;
  /** The engine's parts. */
  readonly parts: ProbeParts;
  /** Whether the driver sends messages before it has done the operations. */
  readonly messagesFirst: boolean;
}

class HastyWriter extends ProbeCache {
  protected override acknowledged(acknowledged: readonly NodeId[], grant: GrantMessage): boolean {
    const missing = grant.invalidated.filter((node) =>
      !acknowledged.includes(node) && !this.gone.has(node)
    );
    return missing.length <= 1;
  }
}

class UnprotectedOwner extends ProbeCache {
  protected override downgrade(first: number, count: number): void {
    this.states.fill(first, count, PageState.Shared);
  }
}

class ForgetfulDirectory extends ProbeDirectory {
  protected override addSharer(page: number, node: NodeId): void {
    if (node !== 2) super.addSharer(page, node);
  }
}

class DeafDirectory extends ProbeDirectory {
  override peerLostSeen(): void {}
}

/** Every planted bug. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "writes with one acknowledgement missing",
    parts: { ...SOUND_PARTS, PageCache: HastyWriter },
    messagesFirst: false,
  },
  {
    name: "grants a page to read and goes on writing it",
    parts: { ...SOUND_PARTS, PageCache: UnprotectedOwner },
    messagesFirst: false,
  },
  {
    name: "forgets a sharer",
    parts: { ...SOUND_PARTS, Directory: ForgetfulDirectory },
    messagesFirst: false,
  },
  {
    name: "reads the alias before it forbids writing",
    parts: SOUND_PARTS,
    messagesFirst: true,
  },
  {
    name: "does not finish the transactions of a node that died",
    parts: { ...SOUND_PARTS, Directory: DeafDirectory },
    messagesFirst: false,
  },
];
