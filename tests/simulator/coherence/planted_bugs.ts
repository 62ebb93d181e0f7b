/**
 * Faults put into the protocol or its driver on purpose. A simulator or checker that misses one of
 * them would miss real faults of that kind too.
 */

import type { ChunkHomes } from "../../../runtime/protocol/coherence/chunk_homes.ts";
import { ClearOrders } from "../../../runtime/protocol/coherence/clear_orders.ts";
import type { Demand } from "../../../runtime/protocol/coherence/demand_queue.ts";
import {
  CLEAR_REQUEST,
  type ClearMessage,
  DIRECTORY_NODE,
  type DoneMessage,
  type GrantMessage,
  type LocatedMessage,
  NO_NODES,
  type NodeId,
  type OffloadMessage,
  type RefusedMessage,
  type RequestMessage,
} from "../../../runtime/protocol/coherence/messages.ts";
import { PageMemory, type Room } from "../../../runtime/protocol/coherence/memory.ts";
import { Access, type PageRun, PageState } from "../../../runtime/protocol/coherence/page.ts";
import { Residence } from "../../../runtime/protocol/coherence/residence.ts";
import { WatchedCache } from "./cache_coverage.ts";
import { WatchedDirectory } from "./directory_coverage.ts";
import type { WaitingRequest } from "../../../runtime/protocol/coherence/request_queue.ts";
import type { RunTable } from "../../../runtime/protocol/coherence/run_table.ts";
import type { Transaction } from "../../../runtime/protocol/coherence/transactions.ts";
import type { FreezeBug } from "./freeze_bugs.ts";
import { ProbeCache, ProbeDirectory, ProbeHomes, ProbeMoves, type ProbeParts } from "./probes.ts";

/** The parts as they are. */
const SOUND_PARTS: ProbeParts = {
  PageCache: WatchedCache,
  Directory: WatchedDirectory,
  HomeMoves: ProbeMoves,
  ChunkHomes: ProbeHomes,
};

/** A fault, in the parts of the engine or in the driver. */
export interface PlantedBug {
  /** What is wrong. */
  readonly name: string;
  /** The engine's parts. */
  readonly parts: ProbeParts;
  /** Whether the driver sends messages before it has done the operations. */
  readonly messagesFirst: boolean;
  /** Whether the driver discards bytes that are still to be sent. */
  readonly discardsAtOnce: boolean;
  /** What is wrong with nodes that are frozen. */
  readonly freezing?: FreezeBug;
}

/** A fault that is to be found. */
export interface FindableBug extends PlantedBug {
  /** What the simulator and the checker say of it. */
  readonly finding: RegExp;
  /** The world of `tests/model/worlds.ts` that is large enough to show it. */
  readonly world: string;
}

/** A fault that shows only where pages have their homes on every node. */
export interface HomeBug extends PlantedBug {
  /** What the simulator and the checker say of it. */
  readonly finding: RegExp;
  /** The first seed to try, where it is so rare that others would be tried for long. */
  readonly seed: number;
  /** The world of `tests/model/worlds.ts` that shows it, where a small one does. */
  readonly world?: string;
}

/** The protocol and its driver as they should be. */
export const NO_BUG: PlantedBug = {
  name: "none",
  parts: SOUND_PARTS,
  messagesFirst: false,
  discardsAtOnce: false,
};

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
  protected override addSharer(run: PageRun, node: NodeId): void {
    if (node !== 2) super.addSharer(run, node);
  }
}

class DeafDirectory extends ProbeDirectory {
  override peerLostSeen(): void {}
}

/** Does not ask those that dropped their copies for the bytes of a source that died. */
class HopelessDirectory extends ProbeDirectory {
  override peerLostSeen(from: NodeId, node: NodeId): void {
    for (const transaction of this.orphans) {
      const { phase, requester } = transaction;
      if (phase.kind === "sourceLost" && phase.source === node && requester === from) {
        transaction.invalidated = NO_NODES;
      }
    }
    super.peerLostSeen(from, node);
  }
}

/** Lets the last writer of a page that migrates keep a copy, of which it tells no node. */
class GenerousDirectory extends ProbeDirectory {
  override request(from: NodeId, message: RequestMessage): void {
    super.request(from, message);
    this.#spoil([{ from, message }]);
  }

  override done(from: NodeId, message: DoneMessage): void {
    const waiting = this.waiting.list();
    super.done(from, message);
    this.#spoil(waiting);
  }

  /** What a read is forwarded for is demanded to read, in place of to write. */
  #spoil(requests: readonly WaitingRequest[]): void {
    const { messages } = this.outbox;
    for (const [index, { to, message }] of messages.entries()) {
      if (message.kind !== "forward") continue;
      const { requester, request } = message;
      const reads = requests.some(({ from, message: asked }) =>
        from === requester && asked.kind === "request" && asked.request === request &&
        asked.access === Access.Read
      );
      if (!reads) continue;
      messages[index] = { to, message: { ...message, access: Access.Read } };
    }
  }
}

class HastyWalker extends ProbeCache {
  protected override acknowledged(acknowledged: readonly NodeId[], grant: GrantMessage): boolean {
    const isAhead = this.pending.find(grant.request, grant.first)?.trap === true;
    return isAhead || super.acknowledged(acknowledged, grant);
  }
}

/** Maps zeros behind the first page that was asked for ahead, and leaves that one as it was. */
class SkippingWalker extends ProbeCache {
  override grant(from: NodeId, message: GrantMessage, now: number): void {
    super.grant(from, message, now);
    const { operations } = this.outbox;
    const last = operations.at(-1);
    const zero = operations.at(-2);
    if (last?.kind !== "evict" || zero?.kind !== "installZero") return;
    operations.splice(-2, 2, { kind: "installZero", first: zero.first + 1, count: zero.count - 1 });
  }
}

class EternalHold extends ProbeCache {
  override get deadline(): number {
    return Infinity;
  }
  override tick(): void {}
  override resumed(): void {}
}

/** Looks at a page that is asked for only when the walk over all pages comes to it. */
class LateDirectory extends ProbeDirectory {
  protected override repair(): void {}
}

/** Does not forget that pages are lost. */
class UnforgivingDirectory extends ProbeDirectory {
  protected override endClear(transaction: Transaction): void {
    const lostWith = this.holders.lostWith(transaction.first);
    super.endClear(transaction);
    if (lostWith !== 0) this.holders.lose(transaction, lostWith);
  }
}

/** Acknowledges that copies are dropped for a free, and keeps them. */
class HoarderCache extends ProbeCache {
  protected override surrender(message: Demand): void {
    const { kind, first, count, requester, request } = message;
    if (kind === "forward" || request !== CLEAR_REQUEST) return super.surrender(message);
    this.outbox.send(requester, { kind: "acknowledge", first, count, request });
  }
}

/** Takes pages for cleared when one node is left that has not dropped its copies. */
class HastyClearer extends ProbeDirectory {
  protected override endClear(transaction: Transaction): void {
    const { phase } = transaction;
    if (phase.kind === "clearing" && phase.awaited.length === 1) {
      transaction.phase = { kind: "clearing", awaited: [] };
    }
    super.endClear(transaction);
  }
}

/** Gives memory out while freed pages of it still rest. */
class RestfulReuser extends ProbeDirectory {
  override reuse(): PageRun[] {
    return [];
  }

  override isClearing({ first, count }: PageRun): boolean {
    return this.freed.next(first, first + count) !== undefined || this.clearing.size > 0;
  }
}

/** Gives pages to a program as they are, though no node zeroes them. */
class DirtyReuser extends ProbeDirectory {
  override reuse(run: PageRun, node: NodeId): PageRun[] {
    const reused = super.reuse(run, node);
    this.freed.delete(run);
    return reused;
  }
}

/** Waits for the acknowledgement of a node that has died. */
class PatientClearer extends ProbeDirectory {
  #isLoss = false;

  override peerLost(node: NodeId): void {
    this.#isLoss = true;
    super.peerLost(node);
    this.#isLoss = false;
  }

  protected override endClear(transaction: Transaction): void {
    if (!this.#isLoss) super.endClear(transaction);
  }
}

/** Gives copies up without a word to the home. */
class SilentDropper extends ProbeCache {
  override useRoom(now: number): void {
    super.useRoom(now);
    const { messages } = this.outbox;
    const dropped = messages.map(({ message }) => message).filter(({ kind }) => kind === "drop");
    this.outbox.messages = messages.filter(({ message }) => message.kind !== "drop");
    for (const message of dropped) if (message.kind === "drop") this.memory.dropped(message);
  }
}

/** Goes on with a copy that the home has forgotten. */
class DeafDropper extends ProbeCache {
  override dropped(run: PageRun): void {
    for (let first = run.first; first < run.first + run.count; first++) {
      const isCopy = this.memory.residence.get(first) === Residence.Dropping;
      if (isCopy) super.kept({ first, count: 1 }, 0);
      else super.dropped({ first, count: 1 });
    }
  }
}

/** Gives back the bytes of a copy as soon as it was dropped for a write. */
class HastyGiver extends ProbeCache {
  protected override readonly memory = new HastyMemory(
    this.options,
    this.outbox,
    this.states,
    this.counters,
  );
}

class HastyMemory extends PageMemory {
  override invalidated(run: PageRun, requests: RunTable<PageRun>): void {
    this.surrendered(run, requests);
  }
}

/** Keeps one page more than it may. */
class GreedyCache extends ProbeCache {
  protected override readonly memory = new GreedyMemory(
    this.options,
    this.outbox,
    this.states,
    this.counters,
  );
}

class GreedyMemory extends PageMemory {
  override get free(): number {
    return super.free + 1;
  }
}

/** Lets nodes take pages that they have no room for. */
class BlindDirectory extends ProbeDirectory {
  protected override roomOf(): Room {
    return { pages: 1, spare: 1 };
  }
}

/** Keeps what others keep free for their own threads from a thread that finds room nowhere else. */
class ThriftyDirectory extends ProbeDirectory {
  override offload(from: NodeId, message: OffloadMessage): void {
    super.offload(from, { ...message, awaited: 0 });
  }
}

/** Takes a wish for spare room as one of a thread that waits. */
class LavishDirectory extends ProbeDirectory {
  override offload(from: NodeId, message: OffloadMessage): void {
    super.offload(from, { ...message, awaited: message.count });
  }
}

/** Takes itself for the home of each chunk that it asked about. */
class PresumptuousCache extends ProbeCache {
  override located(message: LocatedMessage, now: number): void {
    super.located({ ...message, node: this.options.self }, now);
  }
}

/** Asks for runs that reach into chunks of other homes. */
class BoundlessCache extends ProbeCache {
  protected override readonly homes = this.#boundless();

  #boundless(): ChunkHomes {
    const { homes } = this;
    homes.extent = (_first, limit) => limit;
    return homes;
  }
}

/** Serves the pages of a home that has moved though one node has yet to tell what it has. */
class HastyHeir extends ProbeDirectory {
  protected override endRebuild(home: NodeId): void {
    const { awaited } = this.rebuilds.get(home) ?? {};
    if (awaited?.size === 1) awaited.clear();
    super.endRebuild(home);
  }
}

/** Takes for untouched what no node has of the pages of a home that has died. */
class CarelessHeir extends ProbeDirectory {
  override takeOver(home: NodeId, chunks: readonly PageRun[]): void {
    super.takeOver(home, chunks);
    const rebuild = this.rebuilds.get(home);
    if (rebuild !== undefined) rebuild.isTold = true;
  }
}

/** Forgets that a node has kept its copies before the home has heard why. */
class LateListener extends ProbeDirectory {
  override refused(from: NodeId, message: RefusedMessage): void {
    if (this.active.at(message.first)?.phase.kind === "aborting") super.refused(from, message);
  }
}

/** Asks the old home on, when it has moved. */
class StaleMoves extends ProbeMoves {
  override moved(node: NodeId, runs: readonly PageRun[], now: number): void {
    super.moved(node, runs, now);
    for (const { first } of runs) (this.cache as ProbeCache).believe(first, node);
  }
}

/** Tells what it has while more may be on its way. */
class HastyReporter extends ProbeCache {
  override isAsking(): boolean {
    return false;
  }
}

/** Says that nothing is on its way from it any more before it has heard why. */
class HastyAnswerer extends ProbeMoves {
  override ask(from: NodeId, kind: "drain" | "inquire", node: NodeId): void {
    this.say(from, kind, node);
  }
}

/** Does not know of nodes that are gone when a home names them that has yet to hear. */
class ForgetfulMoves extends ProbeMoves {
  override isGone(): boolean {
    return false;
  }
}

/** Says that it has cleared pages when it is told to. */
class HastyDeputy extends ProbeDirectory {
  override clear(message: ClearMessage): void {
    super.clear(message);
    if (!this.ordered.some(({ first }) => first === message.first)) return;
    this.ordered = [];
    this.outbox.send(DIRECTORY_NODE, { ...message, kind: "cleared" });
  }
}

/** Waits for the word of a home that has moved. */
class PatientOrders extends ClearOrders {
  override takeBack(): PageRun[] {
    return [];
  }
}

class PatientHeir extends ProbeDirectory {
  protected override readonly orders = new PatientOrders();
}

/** Has only those freed pages cleared that it is itself the home of. */
class SelfishFreer extends ProbeDirectory {
  override free({ first, count }: PageRun): void {
    for (let page = first; page < first + count; page++) {
      if (this.options.homes?.of(page) === this.self) super.free({ first: page, count: 1 });
    }
  }
}

/** Says that it keeps what it has dropped, where the requester is gone. */
class BoastfulMoves extends ProbeMoves {
  override refuse(home: NodeId, demand: Demand): void {
    super.refuse(home, demand.kind === "forward" ? { ...demand, invalidated: NO_NODES } : demand);
  }
}

/** Takes a home that retired and died for one that has answered all that it was asked. */
class TrustfulMoves extends ProbeMoves {
  override lost(node: NodeId, now: number): void {
    this.drains.get(node)?.awaited.delete(node);
    super.lost(node, now);
  }
}

/** Takes bytes of a node though it has told the home that it expects none from there any more. */
class CredulousReceiver extends ProbeCache {
  override acceptsData(from: NodeId, grant: GrantMessage): boolean {
    return this.#asIfThere(from, () => super.acceptsData(from, grant));
  }

  override grant(from: NodeId, message: GrantMessage, now: number): void {
    this.#asIfThere(from, () => super.grant(from, message, now));
  }

  #asIfThere<Result>(node: NodeId, act: () => Result): Result {
    const next = this.gone.get(node);
    this.gone.delete(node);
    const result = act();
    if (next !== undefined) this.gone.set(node, next);
    return result;
  }
}

/** Takes what was granted on behalf of the old home for an answer to what it has asked anew. */
class ForgetfulReceiver extends CredulousReceiver {
  override acceptsData(from: NodeId, grant: GrantMessage): boolean {
    return super.acceptsData(from, this.#renumbered(grant));
  }

  override grant(from: NodeId, message: GrantMessage, now: number): void {
    super.grant(from, this.#renumbered(message), now);
  }

  #renumbered(grant: GrantMessage): GrantMessage {
    const pending = this.pending.at(grant.first);
    return pending?.anew === true ? { ...grant, request: pending.request } : grant;
  }
}

/** Every node that was there once. */
class LastingNodes extends Set<NodeId> {
  readonly #ever = new Set<NodeId>();

  override add(node: NodeId): this {
    this.#ever.add(node);
    return super.add(node);
  }

  override has(node: NodeId): boolean {
    return this.#ever.has(node);
  }
}

/** Hears what a node says that is dead. */
class SpiritualistMoves extends ProbeMoves {
  override readonly present = new LastingNodes();
}

/** Answers by its table of holders after it has given up being a home. */
class ObstinateHome extends ProbeDirectory {
  override retire(): void {
    super.retire();
    this.retiring = false;
  }

  override get isRetired(): boolean {
    return this.active.size === 0;
  }
}

const BROKEN_PAGE = /page \d+/;
const ENDLESS = /never end|for ever/;

function planted(
  name: string,
  parts: Partial<ProbeParts>,
  world: string,
  finding: RegExp,
): FindableBug {
  return { ...NO_BUG, name, parts: { ...SOUND_PARTS, ...parts }, world, finding };
}

/** Every planted bug. */
export const PLANTED_BUGS: readonly FindableBug[] = [
  planted(
    "writes with one acknowledgement missing",
    { PageCache: HastyWriter },
    "2x1 and a death",
    BROKEN_PAGE,
  ),
  planted(
    "grants a page to read and goes on writing it",
    { PageCache: UnprotectedOwner },
    "2x1 and a death",
    BROKEN_PAGE,
  ),
  planted("forgets a sharer", { Directory: ForgetfulDirectory }, "2x1 and a death", BROKEN_PAGE),
  {
    ...NO_BUG,
    name: "reads the alias before it forbids writing",
    messagesFirst: true,
    world: "2x1 and a death",
    finding: BROKEN_PAGE,
  },
  planted(
    "does not finish the transactions of a node that died",
    { Directory: DeafDirectory },
    "2x1 and a death",
    ENDLESS,
  ),
  planted(
    "takes a page for lost whose bytes are where it was dropped",
    { Directory: HopelessDirectory },
    "3x1 and a death",
    /is lost/,
  ),
  planted(
    "hands a page over and leaves a copy behind",
    { Directory: GenerousDirectory },
    "2x1 migrating",
    BROKEN_PAGE,
  ),
  planted(
    "does not wait for acknowledgements for what it asked for ahead",
    { PageCache: HastyWalker },
    "2x2 reading ahead",
    BROKEN_PAGE,
  ),
  planted(
    "leaves old bytes where a walk has yet to come",
    { PageCache: SkippingWalker },
    "2x2 reading ahead and a free",
    BROKEN_PAGE,
  ),
  planted(
    "serves a page from a node that died before the page was looked at",
    { Directory: LateDirectory },
    "3x1 and a death",
    ENDLESS,
  ),
  planted("holds pages for ever", { PageCache: EternalHold }, "2x1", ENDLESS),
  planted(
    "does not forget that a freed page was lost",
    { Directory: UnforgivingDirectory },
    "2x1, a death and two frees",
    BROKEN_PAGE,
  ),
  planted(
    "an old copy survives a free",
    { PageCache: HoarderCache },
    "2x1 and a free",
    BROKEN_PAGE,
  ),
  planted(
    "pages are cleared before all have acknowledged",
    { Directory: HastyClearer },
    "2x1 and a free",
    /blames|page \d+/,
  ),
  planted(
    "memory is given out that is cleared later",
    { Directory: RestfulReuser },
    "2x1 and a free",
    /a program needs it|with what was on it/,
  ),
  planted(
    "memory is given out with what was on it",
    { Directory: DirtyReuser },
    "2x1 and a free",
    /with what was on it/,
  ),
  planted(
    "a clear waits for a node that has died",
    { Directory: PatientClearer },
    "2x1, a death and two frees",
    ENDLESS,
  ),
  planted(
    "drops a copy without telling the home",
    { PageCache: SilentDropper },
    "2x2 of one page",
    /blames|page \d+|for ever/,
  ),
  planted(
    "goes on with a copy that the home has forgotten",
    { PageCache: DeafDropper },
    "2x2 of one page",
    BROKEN_PAGE,
  ),
  planted(
    "gives back bytes that may be needed in place of those of a source that dies",
    { PageCache: HastyGiver },
    "3x1 of one page and a death",
    ENDLESS,
  ),
  planted(
    "keeps more than it may",
    { PageCache: GreedyCache },
    "2x2 of one page",
    /counts \d pages/,
  ),
  planted(
    "offloads to a node that has no room",
    { Directory: BlindDirectory },
    "2x2 of one page and one that dies or leaves",
    /never|found no room|into room that it keeps free/,
  ),
  planted(
    "gives no room that is kept free, though a thread waits",
    { Directory: ThriftyDirectory },
    "2x2 of one page that is kept free",
    /found no room|for ever/,
  ),
  planted(
    "gives room that is kept free to a node of which no thread waits",
    { Directory: LavishDirectory },
    "2x2 of one page that is kept free",
    /no thread waits/,
  ),
  {
    ...NO_BUG,
    name: "discards bytes that have yet to be sent",
    discardsAtOnce: true,
    world: "2x2 of one page",
    finding: BROKEN_PAGE,
  },
];

/** Every planted bug of homes. */
export const HOME_BUGS: readonly HomeBug[] = [
  {
    ...homeBug("takes itself for the home of what it asked about", {
      PageCache: PresumptuousCache,
    }, /page \d+/),
    world: "2x1 by first touch and a leave",
  },
  homeBug("asks one home for pages of another", { PageCache: BoundlessCache }),
  {
    ...homeBug("serves before all have reported", { Directory: HastyHeir }, /blames|page \d+/),
    world: "2x1 by first touch and a leave",
  },
  {
    ...homeBug("takes a page that nobody reports for untouched", { Directory: CarelessHeir }),
    world: "2x1 by first touch and a death",
  },
  homeBug("forgets a refusal that comes early", { Directory: LateListener }),
  homeBug("asks a home that has moved", { HomeMoves: StaleMoves }, /for ever|blames|page \d+/),
  {
    ...homeBug(
      "answers by the table of a home that has moved",
      { Directory: ObstinateHome },
      /blames|page \d+/,
    ),
    seed: 3001,
  },
  {
    ...homeBug(
      "takes bytes of a home that is dead",
      { HomeMoves: SpiritualistMoves, PageCache: ForgetfulReceiver },
    ),
    seed: 5687,
  },
  homeBug("reports while a copy is on its way", { PageCache: HastyReporter }),
  homeBug("says that it has drained before it has heard why", { HomeMoves: HastyAnswerer }),
  homeBug("does not know which nodes are gone", { HomeMoves: ForgetfulMoves }, ENDLESS),
  homeBug("says that it has cleared what it is told to", { Directory: HastyDeputy }, /said to be/),
  homeBug("waits for the clears of a home that has moved", { Directory: PatientHeir }, ENDLESS),
  homeBug("clears the pages of no other home", { Directory: SelfishFreer }, /with what was on it/),
  {
    ...homeBug("says that it keeps what it has dropped", { HomeMoves: BoastfulMoves }, /blames/),
    seed: 20653468,
  },
  {
    ...homeBug("keeps what a home that is gone may have dropped", { HomeMoves: TrustfulMoves }),
    seed: 24595168,
  },
];

function homeBug(name: string, parts: Partial<ProbeParts>, finding = BROKEN_PAGE): HomeBug {
  return { ...NO_BUG, name, parts: { ...SOUND_PARTS, ...parts }, finding, seed: 1 };
}
