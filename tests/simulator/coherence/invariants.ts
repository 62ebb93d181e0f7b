/**
 * The invariants after every step of every node, and those of the end, when nothing is left to do.
 */

import type { Coherence, Input } from "../../../runtime/protocol/coherence/coherence.ts";
import { Content, type NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import type { Envelope } from "../../../runtime/protocol/coherence/output.ts";
import {
  Access,
  contains,
  overlaps,
  type PageRun,
  PageState,
} from "../../../runtime/protocol/coherence/page.ts";
import { involves } from "../../../runtime/protocol/coherence/transactions.ts";
import { homeOf, type Link, type SimulatedNode } from "./node.ts";
import { type AccessOperation, neededAccess } from "./operation.ts";
import { fail, type Oracle } from "./oracle.ts";
import type { ProbeCache, ProbeDirectory } from "./probes.ts";

/**
 * Checks every page of every node that takes part.
 *
 * @param nodes All nodes; the directory node first.
 * @param pageCount The pages of the region.
 * @param oracle What memory has to look like.
 * @throws {InvariantError} When a promise is broken.
 */
export function checkStep(
  nodes: readonly SimulatedNode[],
  pageCount: number,
  oracle: Oracle,
): void {
  for (let page = 0; page < pageCount; page++) {
    const home = homeOf(nodes, page);
    let readers = 0;
    let writers = 0;
    for (const node of nodes) {
      if (page === 0) checkMemory(node);
      if (!touches(home, node, page)) continue;
      const mapped = node.mmu.state(page);
      const state = node.engine.state(page);
      if (mapped > state) {
        fail(`page ${page} is mapped at node ${node.id} with more than its state ${state} allows`);
      }
      if (mapped === PageState.Exclusive) writers++;
      else if (mapped === PageState.Shared) readers++;
      const isGivenUp = state === PageState.Invalid && !home.directory.has(page, node.id);
      if (isGivenUp || !node.cache.hasCopy(page)) continue;
      if (!oracle.matches(node.mmu.alias, page)) {
        fail(`node ${node.id} has an old copy of page ${page}`);
      }
      checkKnown(home, node, page);
    }
    if (writers > 1 || (writers === 1 && readers > 0)) {
      fail(`page ${page} has ${writers} writers and ${readers} readers`);
    }
  }
}

/** How many pages that others have a node is to take: of itself, or asked by messages. */
function takenBy(
  { cache, id }: { readonly cache: ProbeCache; readonly id: NodeId },
  wish: PageRun,
  messages: readonly Envelope[],
): Map<NodeId, number> {
  const taken = new Map<NodeId, number>();
  for (let page = wish.first; page < wish.first + wish.count; page++) {
    if (cache.isTaking(page)) taken.set(id, (taken.get(id) ?? 0) + 1);
  }
  for (const { to, message } of messages) {
    if (message.kind !== "adopt" || !overlaps(message, wish)) continue;
    taken.set(to, (taken.get(to) ?? 0) + message.count);
  }
  return taken;
}

/**
 * Prepares to check what a home makes of a wish for room: where no thread waits, only spare room is
 * given, so that nodes that all have little do not pass pages to and fro.
 *
 * @param home The home, before its step.
 * @param input What it is about to take.
 * @returns Checks what the home has sent, and says whether a node is to take pages into room that
 *   it keeps free.
 */
export function watchWish(
  home: { readonly id: NodeId; readonly engine: Coherence },
  input: Input,
): (messages: readonly Envelope[]) => boolean {
  if (input.kind !== "message" || input.message.kind !== "offload") return () => false;
  const wish = input.message;
  const cache = home.engine.cache as ProbeCache;
  const directory = home.engine.directory as ProbeDirectory;
  const own = { id: home.id, cache };
  const spares = new Map(directory.believedRooms.map(([node, { spare }]) => [node, spare]));
  spares.set(home.id, cache.room.spare);
  const before = takenBy(own, wish, []).get(home.id) ?? 0;
  const asked = new Set(cache.offloads);
  // In the same step the home may ask for room itself, for pages that it has just come to have.
  const isAwaited = () =>
    wish.awaited > 0 ||
    cache.offloads.some((run) => run.awaited > 0 && !asked.has(run) && overlaps(run, wish));
  return (messages) => {
    for (const [node, count] of takenBy(own, wish, messages)) {
      const more = node === home.id ? count - before : count;
      if (more <= (spares.get(node) ?? 0)) continue;
      if (isAwaited()) return true;
      fail(`node ${node} is to take pages into room that it keeps free, and no thread waits`);
    }
    return false;
  };
}

/** No more pages have memory at a node than it may keep. */
function checkMemory(node: SimulatedNode): void {
  if (!node.present) return;
  const { held, limit } = node.cache;
  const { residents } = node.mmu;
  if (held > limit) fail(`node ${node.id} counts ${held} pages, of ${limit} that it may keep`);
  if (residents > held) {
    fail(`node ${node.id} has memory for ${residents} pages, and counts ${held}`);
  }
}

/**
 * Checks an access that a thread is about to make.
 *
 * @param nodes All nodes; the directory node first.
 * @param node The thread's node.
 * @param operation The access.
 * @param oracle What memory has to look like.
 * @throws {InvariantError} When it reads what is old, or writes what another node can read.
 */
export function checkAccess(
  nodes: readonly SimulatedNode[],
  node: SimulatedNode,
  operation: AccessOperation,
  oracle: Oracle,
): void {
  const { page } = operation;
  if (!oracle.matches(node.mmu.alias, page)) fail(`node ${node.id} reads an old page ${page}`);
  if (neededAccess(operation) === Access.Read) return;
  for (const other of nodes) {
    if (other === node || other.mmu.state(page) === PageState.Invalid) continue;
    if (touches(homeOf(nodes, page), other, page)) {
      fail(`node ${node.id} writes page ${page}, which node ${other.id} can read`);
    }
  }
}

/**
 * Whether a node's copy of a page counts. Once a node leaves its threads touch nothing, so those of
 * its copies do not matter that others have too, and that its home has crossed out.
 *
 * @param home The home of the page.
 * @param node The node.
 * @param page The page.
 * @returns Whether it must be what memory has to look like.
 */
export function touches(home: SimulatedNode, node: SimulatedNode, page: number): boolean {
  return node.status === "live" ||
    (node.status === "leaving" &&
      (home.directory.has(page, node.id) ||
        home.directory.transactionOn(page)?.requester === node.id));
}

/** The home knows of a copy, or it is being made. */
function checkKnown(home: SimulatedNode, node: SimulatedNode, page: number): void {
  const { directory } = home;
  if (directory.has(page, node.id) || directory.isRebuilding(page)) return;
  if (directory.transactionOn(page)?.requester === node.id) return;
  fail(`the home does not know that node ${node.id} has page ${page}`);
}

/**
 * Checks that a page which a node is told to be lost could not have been kept.
 *
 * @param nodes All nodes.
 * @param page The page.
 * @param lostNode The node that it is said to be lost with.
 * @param oracle What memory has to look like.
 * @throws {InvariantError} When it could.
 */
export function checkLoss(
  nodes: readonly SimulatedNode[],
  page: number,
  lostNode: NodeId,
  oracle: Oracle,
): void {
  if (!oracle.mayBeLost(page)) fail(`page ${page} is lost, and no node died with its only copy`);
  const isLive = nodes[lostNode - 1]!.status === "live";
  if (isLive) fail(`page ${page} is lost with node ${lostNode}, which lives`);
  for (const node of nodes) {
    if (touches(homeOf(nodes, page), node, page) && node.engine.state(page) !== PageState.Invalid) {
      fail(`page ${page} is lost, and node ${node.id} has a copy`);
    }
  }
}

/**
 * Checks that no node has a copy of a page that was just cleared.
 *
 * @param nodes All nodes.
 * @param page The page.
 * @throws {InvariantError} When one has.
 */
export function checkCleared(nodes: readonly SimulatedNode[], page: number): void {
  for (const node of nodes) {
    if (!touches(homeOf(nodes, page), node, page) || node.mmu.state(page) === PageState.Invalid) {
      continue;
    }
    fail(`page ${page} was cleared, and node ${node.id} has an old copy`);
  }
}

/**
 * Notes which pages may be lost with a node that is about to die: those that it has the only copy
 * of, those that it asked to write, or may be handed over, since no other node can tell whether it
 * did, and those of which it was just sending the only copy.
 *
 * @param nodes All nodes; the directory node first.
 * @param links All links.
 * @param victim The node that dies.
 * @param options The pages of the region, and whether a read can be answered with the right to
 * write.
 * @param oracle Where to note it.
 */
export function allowLosses(
  nodes: readonly SimulatedNode[],
  links: readonly Link[],
  victim: SimulatedNode,
  { pageCount, migration }: { readonly pageCount: number; readonly migration: boolean },
  oracle: Oracle,
): void {
  for (let page = 0; page < pageCount; page++) {
    const home = homeOf(nodes, page);
    const { directory } = home;
    const transaction = directory.transactionOn(page);
    const copies = directory.copies(page).nodes;
    // No node has touched it, or the victim's first touch, or hand-over, has been granted by the
    // home.
    const untouched = copies.every((id) => id === victim.id);
    // Until a request to read is begun it can turn out to be given the right to write.
    const reads = transaction?.requester === victim.id && transaction.access === Access.Read;
    const granted = untouched || (migration && !reads);
    const writing = victim.cache.requests.some((pending) =>
      contains(pending, page) && (granted || pending.access === Access.Write)
    );
    const sending = links.some(({ from, frames }) =>
      from === victim &&
      frames.some(({ message }) => message.kind === "grant" && contains(message, page))
    );
    // The home may count on a copy that is on its way there, and have dropped its own.
    const had = victim.cache.hasCopy(page) || copies.includes(victim.id) ||
      transaction?.invalidated.includes(victim.id);
    // A node that hears from its home that it may go reports its copies to no other one.
    const mayGo = (node: SimulatedNode): boolean => home === victim && directory.isParting(node.id);
    const kept = nodes.some((node) =>
      node !== victim && touches(homeOf(nodes, page), node, page) && !mayGo(node) &&
      (node.engine.state(page) !== PageState.Invalid || isComing(links, victim, node, page))
    );
    // A sharer that was told to drop its copy for this transaction still has the bytes.
    const dropped = transaction?.requester !== victim.id &&
      transaction?.invalidated.some((id) => nodes[id - 1]!.present && id !== victim.id);
    // With a home goes what it had begun, and what no other node has a copy of.
    const isHome = home === victim && (transaction !== undefined || !kept);
    // What a home has not told before its death, which has moved.
    const isMoving = directory.isRebuilding(page) && !kept;
    if (writing || isHome || isMoving || ((had || sending) && !kept && !dropped)) {
      oracle.allowLoss(page, victim.id);
    }
  }
}

/**
 * Notes which pages may be lost with their home, of whose death the directory node is about to
 * hear: since it died it may have become the home of more, and its own first touch tells nobody.
 *
 * @param nodes All nodes; the directory node first.
 * @param links All links.
 * @param victim The node.
 * @param pageCount The pages of the region.
 * @param oracle Where to note it.
 */
export function allowHomeless(
  nodes: readonly SimulatedNode[],
  links: readonly Link[],
  victim: SimulatedNode,
  pageCount: number,
  oracle: Oracle,
): void {
  for (let page = 0; page < pageCount; page++) {
    if (homeOf(nodes, page) !== victim) continue;
    allowDropped(nodes, links, victim, { first: page, count: 1 }, oracle);
  }
}

/**
 * Notes which pages may be lost with their home, which is dead: those that no node keeps. A node
 * that asks it to forget copies, and has yet to hear of its death, keeps them no more.
 *
 * @param nodes All nodes; the directory node first.
 * @param links All links.
 * @param home The home.
 * @param run The pages.
 * @param oracle Where to note it.
 */
export function allowDropped(
  nodes: readonly SimulatedNode[],
  links: readonly Link[],
  home: SimulatedNode,
  { first, count }: PageRun,
  oracle: Oracle,
): void {
  for (let page = first; page < first + count; page++) {
    const kept = nodes.some((node) =>
      node.present &&
      (node.engine.state(page) !== PageState.Invalid || isComing(links, home, node, page))
    );
    if (!kept) oracle.allowLoss(page, home.id);
  }
}

/** Whether the bytes of a page are on their way from a node that lives to another, which waits. */
function isComing(
  links: readonly Link[],
  victim: SimulatedNode,
  node: SimulatedNode,
  page: number,
): boolean {
  return links.some(({ from, to, frames }) =>
    to === node && from !== victim && from.present &&
    frames.some(({ message }) =>
      message.kind === "grant" && message.content === Content.Data && contains(message, page) &&
      node.cache.requests.some(({ request, grant }) =>
        request === message.request && grant === undefined
      )
    )
  );
}

/**
 * Notes which pages cannot be lost with a node of whose death their home is about to hear: those
 * that the home neither counts it among the holders of, nor has a transaction with it on.
 *
 * @param nodes All nodes; the directory node first.
 * @param home The home.
 * @param victim The node.
 * @param pageCount The pages of the region.
 * @param oracle Where to note it.
 */
export function forbidLosses(
  nodes: readonly SimulatedNode[],
  home: SimulatedNode,
  victim: SimulatedNode,
  pageCount: number,
  oracle: Oracle,
): void {
  const { directory } = home;
  for (let page = 0; page < pageCount; page++) {
    if (homeOf(nodes, page) !== home) continue;
    const transaction = directory.transactionOn(page);
    const hasPart = directory.isRebuilding(page) ||
      (transaction !== undefined && involves(transaction, victim.id));
    const has = directory.has(page, victim.id) || directory.lostWith(page) === victim.id;
    if (!hasPart && !has) oracle.forbidLoss(page, victim.id);
  }
}

/**
 * Notes which pages can be lost no more by any death so far, once the home has heard of all: those
 * that are there, and that no transaction is under way on.
 *
 * @param nodes All nodes; the directory node first.
 * @param links All links.
 * @param pageCount The pages of the region.
 * @param oracle Where to note it.
 */
export function settleLosses(
  nodes: readonly SimulatedNode[],
  links: readonly Link[],
  pageCount: number,
  oracle: Oracle,
): void {
  if (nodes.some(({ endUnnoticed }) => endUnnoticed)) return;
  const isNews = ({ kind }: { readonly kind: string }) => kind === "peerLost" || kind === "retired";
  const isHeard = (node: SimulatedNode) =>
    !links.some(({ to, frames }) => to === node && frames.some(({ message }) => isNews(message)));
  for (let page = 0; page < pageCount; page++) {
    const home = homeOf(nodes, page);
    const { directory } = home;
    if (!directory.isLost(page) && !directory.busy(page) && isHeard(home)) {
      oracle.forbidLosses(page);
    }
  }
}

/**
 * Notes which pages may be lost since the home let a node go, or has forgotten copies of it: those
 * that the home believes to be on nodes of whose death it has not heard yet.
 *
 * @param nodes All nodes; the directory node first.
 * @param pageCount The pages of the region.
 * @param oracle Where to note it.
 */
export function allowStranded(
  nodes: readonly SimulatedNode[],
  pageCount: number,
  oracle: Oracle,
): void {
  for (let page = 0; page < pageCount; page++) {
    const { nodes: copies } = homeOf(nodes, page).directory.copies(page);
    if (copies.some((id) => nodes[id - 1]!.present)) continue;
    for (const id of copies) oracle.allowLoss(page, id);
  }
}

/**
 * Checks that nothing is left to do.
 *
 * @param nodes All nodes; the directory node first.
 * @param pageCount The pages of the region.
 * @param oracle What memory has to look like.
 * @throws {InvariantError} When something is.
 */
export function checkQuiescence(
  nodes: readonly SimulatedNode[],
  pageCount: number,
  oracle: Oracle,
): void {
  for (const node of nodes) {
    if (!node.present) continue;
    const isIdle = node.engine.directory === undefined || node.directory.idle;
    if (!isIdle) fail("the home has transactions or requests that never end");
    if (!node.finished) fail(`a thread of node ${node.id} waits for ever`);
    if (!node.cache.idle) fail(`node ${node.id} has requests or demands that never end`);
    if (node.status === "leaving") fail(`node ${node.id} may never leave`);
  }
  for (let page = 0; page < pageCount; page++) {
    const { id, directory } = homeOf(nodes, page);
    const { owner, nodes: copies } = directory.copies(page);
    if (directory.isLost(page)) {
      if (!oracle.mayBeLost(page)) fail(`page ${page} is lost without a reason`);
    } else if (owner !== 0) {
      if (!copies.includes(owner)) fail(`the owner of page ${page} has no copy of it`);
      for (const id of copies) {
        if (!nodes[id - 1]!.present) fail(`node ${id} is gone, and the home relies on its copies`);
        if (nodes[id - 1]!.engine.state(page) === PageState.Invalid) {
          fail(`node ${id} has no copy of page ${page}, as the home thinks`);
        }
      }
    } else if (nodes.some((node) => node.present && node.engine.state(page) !== 0)) {
      fail(`page ${page} has copies that node ${id} does not know of`);
    }
  }
}
