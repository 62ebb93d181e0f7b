/**
 * The links that threads of this node have to the desk of the directory node for themselves: the
 * engine connects, lends each thread its descriptor, and ends the link behind the thread.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import type { Poller } from "../../ffi/poller.ts";
import { ThreadDescriptor } from "../../ffi/thread_link.ts";
import { closeNow } from "../cluster/handshake.ts";
import { CALL_SLOTS_MAX, LINK_CLOSE_MAX_MS, THREAD_LINK_LOOK_MS } from "../limits.ts";
import { SyncStatus } from "../protocol/sync/messages.ts";
import type { CallSlots } from "../ring/call_slots.ts";
import { THREAD_ANSWER_BYTES, threadAnswer } from "../ring/thread_link.ts";
import type { Stream } from "../secure/sealed_connection.ts";

/** What the links are made with. */
export interface ThreadLinksOptions {
  readonly library: TdsmLibrary;
  readonly slots: CallSlots;
  readonly poller: Pick<Poller, "lend">;
  /** Connects to the directory node for the thread of that number. */
  dial(thread: number): Promise<Stream>;
  /** A permit was granted to a thread that has ended before it read that. */
  giveBackPermit(key: bigint): void;
  /** Something was begun that goes on in the event loop. */
  needsTurn(): void;
}

/** The link of one thread. */
interface OwnLink {
  /** This node's number of the thread. */
  readonly thread: number;
  /** The connection, once there is one. */
  stream: Stream | undefined;
  /** The engine's own descriptor of it; the thread may give up its own at any time. */
  descriptor: ThreadDescriptor | undefined;
  /** Whether its thread is to use it no more. */
  ends: boolean;
  /** Resolves when the directory node has seen its end, or nobody waits for that any more. */
  readonly gone: PromiseWithResolvers<void>;
}

/** The links of one node's threads. */
export class ThreadLinks {
  readonly #options: ThreadLinksOptions;
  /** By slot. */
  readonly #links = new Map<number, OwnLink>();
  /** By this node's number of the thread, which is not given again before the link is gone. */
  readonly #byThread = new Map<number, OwnLink>();
  #lastThread = 0;
  #closed = false;

  /** @param options What the links are made with. */
  constructor(options: ThreadLinksOptions) {
    this.#options = options;
  }

  /**
   * Gives the thread of a slot a link. Where that fails, the thread goes on to ask by its engine.
   *
   * @param slot The slot.
   */
  async open(slot: number): Promise<void> {
    const thread = this.#newThread();
    if (this.#closed || thread === undefined || this.#links.has(slot)) return;
    const link: OwnLink = {
      thread,
      stream: undefined,
      descriptor: undefined,
      ends: false,
      gone: Promise.withResolvers<void>(),
    };
    this.#links.set(slot, link);
    this.#byThread.set(thread, link);
    try {
      const stream = await this.#options.dial(thread);
      link.stream = stream;
      if (link.ends || this.#closed) return closeNow(stream);
      this.#lend(slot, link, stream);
    } catch {
      // The number is not given again: the directory node may have taken the connection for good.
      this.#close(link);
      link.gone.resolve();
    } finally {
      this.#options.needsTurn();
    }
  }

  #lend(slot: number, link: OwnLink, stream: Stream): void {
    const { localAddr, remoteAddr } = stream;
    // The directory node says nothing more unasked.
    if (localAddr === undefined || stream.hasUnread) {
      link.ends = true;
      return closeNow(stream);
    }
    const { poller, slots, library } = this.#options;
    const seal = stream.handOverSending?.();
    stream.handOverReceiving?.();
    const ends = { localAddr, remoteAddr };
    link.descriptor = new ThreadDescriptor(library, poller.lend(ends));
    slots.lendLink(slot, { fd: poller.lend(ends), thread: link.thread }, seal);
  }

  /** A number that no link has; `undefined` where all are taken. */
  #newThread(): number | undefined {
    for (let tries = 0; tries < CALL_SLOTS_MAX; tries++) {
      this.#lastThread = this.#lastThread % CALL_SLOTS_MAX + 1;
      if (!this.#byThread.has(this.#lastThread)) return this.#lastThread;
    }
    return undefined;
  }

  /**
   * The thread of a slot is gone: ends its link, and gives back a permit that it was granted and
   * did not see. The directory node abandons the mutexes that it holds.
   *
   * @param slot The slot, which another thread may take from here on.
   */
  threadGone(slot: number): void {
    const { slots, library } = this.#options;
    const link = this.#links.get(slot);
    this.#links.delete(slot);
    const permit = slots.permit(slot);
    slots.notePermit(slot, 0);
    const fd = slots.takeLink(slot);
    if (fd !== undefined) new ThreadDescriptor(library, fd).close();
    const seal = slots.takeSeal(slot);
    if (link === undefined) return;
    if (seal !== undefined) link.descriptor?.goOn(seal);
    link.ends = true;
    // One that is not lent yet is closed once there is a connection.
    link.descriptor?.endSending();
    void this.#finish(link, permit);
  }

  /** Waits for the end of a link, and reads what its thread has left there. */
  async #finish(link: OwnLink, permit: ReturnType<CallSlots["permit"]>): Promise<void> {
    await link.gone.promise;
    const { descriptor } = link;
    if (descriptor === undefined) return;
    // What the directory node has answered may still be on its way, by another connection than its
    // word that all is over.
    const giveUpAt = performance.now() + LINK_CLOSE_MAX_MS;
    const bytes = new Uint8Array(THREAD_ANSWER_BYTES);
    let there = 0;
    while (permit !== undefined && !this.#closed && performance.now() < giveUpAt) {
      const received = descriptor.receive(bytes.subarray(there), 0);
      if (received === undefined) break;
      there += received;
      if (received === 0) {
        await new Promise((resolve) => setTimeout(resolve, THREAD_LINK_LOOK_MS));
        continue;
      }
      if (there < THREAD_ANSWER_BYTES) continue;
      there = 0;
      const { ticket, status } = threadAnswer(bytes) ?? {};
      if (ticket !== permit.ticket) continue;
      if (status === SyncStatus.Done) this.#options.giveBackPermit(permit.key);
      break;
    }
    this.#close(link);
  }

  #close(link: OwnLink): void {
    link.ends = true;
    link.descriptor?.end();
    link.descriptor?.close();
    link.descriptor = undefined;
    if (link.stream !== undefined) closeNow(link.stream);
  }

  /**
   * Ends every link, behind all that its thread has sent, and opens none from here on: the node
   * leaves. What threads still wait for is given up.
   *
   * @returns Resolves when the directory node has seen that.
   */
  async endAll(): Promise<void> {
    this.#closed = true;
    for (const { descriptor, gone } of this.#links.values()) {
      if (descriptor === undefined) gone.resolve();
      else descriptor.endSending();
    }
    await Promise.all([...this.#byThread.values()].map(({ gone }) => gone.promise));
  }

  /**
   * The directory node has seen the end of a link, and has acted on all that came before it.
   *
   * @param thread This node's number of the thread, which another link may have from here on.
   */
  gone(thread: number): void {
    const link = this.#byThread.get(thread);
    if (link === undefined) return;
    this.#byThread.delete(thread);
    link.gone.resolve();
    this.#options.needsTurn();
  }

  /** Ends every connection at once: threads that wait there learn why the node cannot go on. */
  close(): void {
    this.#closed = true;
    for (const link of new Set([...this.#links.values(), ...this.#byThread.values()])) {
      this.#close(link);
      link.gone.resolve();
    }
    this.#links.clear();
    this.#byThread.clear();
  }
}
