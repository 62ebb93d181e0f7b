/**
 * The invariants of every state of the model, and of the states in which nothing is left to do.
 */

import { Content, type NodeId } from "../../runtime/protocol/coherence/messages.ts";
import { Access, contains, PageState } from "../../runtime/protocol/coherence/page.ts";
import type { Transaction } from "../../runtime/protocol/coherence/transactions.ts";
import { Residence } from "../../runtime/protocol/coherence/residence.ts";
import { type Limits, roomOf } from "./room.ts";
import { fail } from "../simulator/coherence/oracle.ts";
import { holdersOf, type ModelState, type NodeState } from "./state.ts";

/** Where the home has a question to answer. */
const ASKED: readonly Residence[] = [Residence.Dropping, Residence.Forgone];

function transactionOn(state: ModelState, page: number): Transaction | undefined {
  return state.directory.active.find((transaction) => contains(transaction, page));
}

function present({ status }: NodeState): boolean {
  return status === "live" || status === "leaving";
}

/**
 * Whether a node's copy of a page must be what memory has to look like. Once a node leaves its
 * threads touch nothing, so a copy that its home has crossed out does not matter.
 *
 * @param state The cluster.
 * @param id The node.
 * @param page The page.
 * @returns Whether the copy must be up to date.
 */
export function counts(state: ModelState, id: NodeId, page: number): boolean {
  const { status } = state.nodes[id - 1]!;
  if (status !== "leaving") return status === "live";
  return holdersOf(state, page).includes(id) ||
    transactionOn(state, page)?.requester === id;
}

/**
 * Checks every page of every node.
 *
 * @param state The cluster.
 * @param options How many pages each node may keep.
 * @throws {InvariantError} When a promise is broken.
 */
export function checkState(
  state: ModelState,
  { memoryPages }: { readonly memoryPages: number },
): void {
  for (const [index, { status, cache }] of state.nodes.entries()) {
    const held = cache.residence.filter((value) => value !== Residence.None).length;
    if (status === "live" && held > memoryPages) fail(`node ${index + 1} counts ${held} pages`);
  }
  for (let page = 0; page < state.written.length; page++) {
    let readers = 0;
    let writers = 0;
    for (const [index, { cache, mapped, fresh, undone }] of state.nodes.entries()) {
      const id = index + 1;
      if (!counts(state, id, page)) continue;
      const allowed = mapped[page]!;
      const known = cache.states[page]!;
      if (undone.length === 0 && allowed > known) {
        fail(`page ${page} is mapped at node ${id} with more than its state ${known} allows`);
      }
      if (allowed === PageState.Exclusive) writers++;
      else if (allowed === PageState.Shared) readers++;
      if (allowed !== PageState.Invalid && !fresh[page]) {
        fail(`node ${id} has an old copy of page ${page}`);
      }
      if (allowed !== PageState.Invalid && cache.residence[page] === Residence.None) {
        fail(`node ${id} maps page ${page}, which it does not count`);
      }
      if (known === PageState.Invalid || transactionOn(state, page)?.requester === id) continue;
      if (!holdersOf(state, page).includes(id)) {
        fail(`the home does not know that node ${id} has page ${page}`);
      }
    }
    if (writers > 1 || (writers === 1 && readers > 0)) {
      fail(`page ${page} has ${writers} writers and ${readers} readers`);
    }
  }
}

/**
 * Checks a state in which nothing happens unless a thread wishes it.
 *
 * @param state The cluster.
 * @param limits How many pages each node may keep.
 * @throws {InvariantError} When something is not done.
 */
export function checkQuiescence(
  state: ModelState,
  limits: Limits,
): void {
  const { active, waiting, leaving, holders, lost, freed } = state.directory;
  if (active.length > 0 || waiting.length > 0) fail("the home has transactions that never end");
  if (freed.length > 0) fail(`page ${freed[0]} was freed, and is never cleared`);
  // Where no node has room, a wait for room ends by the clock, which stands still here.
  const roomy = state.nodes.findIndex(({ status }, index) =>
    status === "live" && roomOf(state, index + 1, limits).pages > 0
  );
  if (leaving.length > 0 && roomy >= 0) {
    fail(`a node may never leave, though node ${roomy + 1} has room`);
  }
  for (const [index, { status, blocked, cache }] of state.nodes.entries()) {
    if (status === "leaving" && (roomy >= 0 || cache.strandedSince === Infinity)) {
      fail(`node ${index + 1} may never leave`);
    }
    if (status !== "live") continue;
    const isRoomless = blocked !== undefined &&
      cache.roomless.some(({ page }) => page === blocked.page);
    if (isRoomless && roomy >= 0) {
      fail(`node ${index + 1} waits for ever for room, and node ${roomy + 1} has some`);
    }
    if (blocked !== undefined && !isRoomless) {
      fail(`node ${index + 1} waits for ever for page ${blocked.page}`);
    }
    if (cache.adoptions.length > 0 || cache.residence.some((value) => ASKED.includes(value))) {
      fail(`node ${index + 1} waits for ever for the home's word`);
    }
    if (cache.pending.length > 0 || cache.deferred.length > 0) {
      fail(`node ${index + 1} has requests or demands that never end`);
    }
  }
  for (const [page, { nodes }] of holders.entries()) {
    for (const id of nodes) {
      const node = state.nodes[id - 1]!;
      if (!present(node)) fail(`the home relies on node ${id}, which is gone, for page ${page}`);
      if (node.cache.states[page] === PageState.Invalid) {
        fail(`node ${id} has no copy of page ${page}, as the home thinks`);
      }
    }
  }
  for (const [page] of lost) {
    if (!state.mayBeLost[page]) fail(`page ${page} is lost without a reason`);
  }
}

/**
 * Which pages may be lost once a node dies: those that it has the only copy of, those that it asked
 * to write, or may be handed over, since no other node can tell whether it did, and those of which
 * it is sending the only copy.
 *
 * @param state The cluster.
 * @param victim The node that dies.
 * @param migration Whether a read can be answered with the right to write.
 * @returns For each page whether it may be lost, now or since an earlier death.
 */
export function allowLosses(state: ModelState, victim: NodeId, migration: boolean): boolean[] {
  const { cache } = state.nodes[victim - 1]!;
  return state.mayBeLost.map((allowed, page) => {
    if (allowed) return true;
    const transaction = transactionOn(state, page);
    // No node has touched it, or the victim's first touch, or hand-over, has been granted by the
    // home.
    const untouched = holdersOf(state, page).every((id) => id === victim);
    // Until a request to read is begun it can turn out to be given the right to write.
    const reads = transaction?.requester === victim && transaction.access === Access.Read;
    const granted = untouched || (migration && !reads);
    const writing = cache.pending.some((pending) =>
      contains(pending, page) && (granted || pending.access === Access.Write)
    );
    const sending = state.links.some((frames, index) =>
      Math.floor(index / state.nodes.length) === victim - 1 &&
      frames.some(({ message }) => message.kind === "grant" && contains(message, page))
    );
    // The home may count on a copy that is on its way there, and have dropped its own.
    const had = cache.states[page] !== PageState.Invalid ||
      holdersOf(state, page).includes(victim) ||
      cache.residence[page] === Residence.Dropping ||
      transaction?.invalidated.includes(victim) === true;
    const isOther = (id: NodeId) => id !== victim && present(state.nodes[id - 1]!);
    const kept = state.nodes.some((node, index) =>
      isOther(index + 1) && counts(state, index + 1, page) &&
      (node.cache.states[page] !== PageState.Invalid || isComing(state, victim, index + 1, page))
    );
    // A sharer that was told to drop its copy for this transaction still has the bytes.
    const dropped = transaction !== undefined && transaction.requester !== victim &&
      transaction.invalidated.some(isOther);
    return writing || ((had || sending) && !kept && !dropped);
  });
}

/** Whether the bytes of a page are on their way from a node that lives to another, which waits. */
function isComing(state: ModelState, victim: NodeId, id: NodeId, page: number): boolean {
  const { pending } = state.nodes[id - 1]!.cache;
  return state.nodes.some((node, index) =>
    index !== victim - 1 && present(node) &&
    state.links[index * state.nodes.length + id - 1]!.some(({ message }) =>
      message.kind === "grant" && message.content === Content.Data && contains(message, page) &&
      pending.some(({ request, grant }) => request === message.request && grant === undefined)
    )
  );
}

/**
 * Which pages may be lost by the deaths so far, once the home has heard of all: those that are
 * lost, or that a transaction is under way on.
 *
 * @param state The cluster.
 * @returns For each page whether it may be lost.
 */
export function settleLosses(state: ModelState): readonly boolean[] {
  const { mayBeLost, unnoticed, directory } = state;
  if (unnoticed.length > 0 || !mayBeLost.includes(true)) return mayBeLost;
  return mayBeLost.map((allowed, page) => {
    if (!allowed || transactionOn(state, page) !== undefined) return allowed;
    const isOrphan = directory.holders[page]!.nodes.length > 0 &&
      holdersOf(state, page).length === 0;
    return isOrphan || directory.lost.some(([lost]) => lost === page);
  });
}
