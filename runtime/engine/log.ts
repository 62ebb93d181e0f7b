/** What the log says of pages, messages about them, semaphores, barriers and mutexes. */

import { SYNC_STUCK_NAMED_MAX } from "../limits.ts";
import { Level } from "../log.ts";
import { Content, type Message } from "../protocol/coherence/messages.ts";
import { Access } from "../protocol/coherence/page.ts";
import { printable } from "../printable.ts";
import type { NamedRun } from "./page_moves.ts";
import type { StuckWaits } from "../protocol/sync/desk.ts";
import type { AnsweredRequest } from "../ring/sync_records.ts";
import {
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../protocol/sync/messages.ts";

/**
 * The level at which a message is logged.
 *
 * @param message The message.
 * @returns `Debug` for a message that moves pages, else `Trace`.
 */
export function levelOf({ kind }: Message): Level {
  return kind === "grant" || kind === "invalidate" ? Level.Debug : Level.Trace;
}

/**
 * Describes a message in one line.
 *
 * @param message The message.
 * @returns Its kind, pages, nodes and request.
 */
export function describeMessage(message: Message): string {
  const words: string[] = [message.kind];
  if ("first" in message) {
    const { first, count } = message;
    words.push(count === 1 ? `of page ${first}` : `of pages ${first} to ${first + count - 1}`);
  }
  if ("access" in message) words.push(message.access === Access.Write ? "to write" : "to read");
  if (message.kind === "grant") words.push(`(${CONTENTS[message.content]})`);
  if ("requester" in message) words.push(`for node ${message.requester}`);
  if ("node" in message) words.push(`: node ${message.node}`);
  if ("request" in message) words.push(`, request ${message.request}`);
  return words.join(" ").replaceAll(" ,", ",").replaceAll(" :", ":");
}

const CONTENTS: Readonly<Record<Content, string>> = {
  [Content.Data]: "with its bytes",
  [Content.Zero]: "never written",
  [Content.Kept]: "its bytes are there",
  [Content.Lost]: "lost",
};

/**
 * Describes waits that nobody may be left to end.
 *
 * @param waits The waits: barriers, with the nodes that have arrived, and how many wait elsewhere.
 * @returns One line; of many barriers and nodes it names the first.
 */
export function describeStuck({ barriers, others }: StuckWaits): string {
  const named = listed(barriers.map(({ name, parties, arrived }) => {
    const nodes = listed([...new Set(arrived)].sort((a, b) => a - b).map(String));
    return `barrier ${
      JSON.stringify(name)
    } has ${arrived.length} of ${parties} parties (of node ${nodes})`;
  }));
  const elsewhere = others === 0 ? "" : `, and ${others} more wait for semaphores or mutexes`;
  return `Every thread of every node waits, so maybe for ever: ${named}${elsewhere}. ` +
    "Compare the number of parties with the threads that come there, or start the node that is missing";
}

/**
 * Describes a page by what a program calls it.
 *
 * @param page The page.
 * @param pageSize The size of pages, in bytes.
 * @param named The allocations that are known by name.
 * @returns The page, those of the allocations that it belongs to, and its bytes.
 */
export function describePage(page: number, pageSize: number, named: readonly NamedRun[]): string {
  const names = named.filter(({ first, count }) => first <= page && page < first + count)
    .map(({ name }) => JSON.stringify(printable(name)));
  const owner = names.length === 0 ? "" : ` of ${listed(names)}`;
  return `Page ${page}${owner} (bytes ${page * pageSize} to ${(page + 1) * pageSize - 1})`;
}

/** The first of some words. */
function listed(words: readonly string[]): string {
  const more = words.length - SYNC_STUCK_NAMED_MAX;
  const first = words.slice(0, SYNC_STUCK_NAMED_MAX).join(", ");
  return more > 0 ? `${first} and ${more} more` : first;
}

/**
 * Describes why something was not given back.
 *
 * @param request The request, a release or an unlock.
 * @param reply The directory node's answer.
 * @returns One line.
 */
export function describeRefusal(request: AnsweredRequest, reply: SyncReply): string {
  const what = request.operation === SyncOperation.Release
    ? `release semaphore ${request.key} by ${request.count}`
    : "unlock a mutex";
  const [, outcome] = describeOutcome(reply.status, reply.count, reply.key);
  return `A thread that has ended or detached could not ${what}: ${outcome}`;
}

const ABANDONED = "the node or thread that held it has ended without unlocking it";

/** The log of one node's synchronisation. */
export class SyncLog {
  readonly #level: number;
  readonly #write: (level: Level, text: string) => void;
  /**
   * The requests that have no answer yet, by ticket; put into words only for a line that is logged.
   */
  readonly #asked = new Map<number, AnsweredRequest>();
  /** The mutex of each lock that is held. */
  readonly #locks = new Map<number, string>();

  /**
   * @param level How much is logged, 0 to 5.
   * @param write Takes a line.
   */
  constructor(level: number, write: (level: Level, text: string) => void) {
    this.#level = level;
    this.#write = write;
  }

  /** Logs a request of a thread of this node. */
  asked(request: SyncRequest): void {
    if (this.#level < Level.Warning) return;
    const { operation, ticket } = request;
    switch (operation) {
      case SyncOperation.Cancel:
        return this.#tell(Level.Trace, () => `Request ${ticket}: cancel`);
      case SyncOperation.FutexStay:
        return this.#tell(Level.Trace, () => `Request ${ticket}: the word is as it was`);
      case SyncOperation.FutexHeard:
        return this.#tell(Level.Trace, () => `Word ${request.key}: ask at each notify`);
      case SyncOperation.FutexReturn:
        return this.#tell(Level.Trace, () => `Word ${request.key}: more wait than may here`);
      case SyncOperation.FutexMoved:
        return this.#tell(Level.Trace, () => `Request ${ticket}: it waits at the directory node`);
    }
    this.#asked.set(ticket, request);
    this.#tell(Level.Trace, () => `Request ${ticket}: ${this.#describe(request)}`);
    if (operation === SyncOperation.Lock || operation === SyncOperation.TryLock) {
      this.#locks.set(ticket, request.name);
    }
  }

  /** Logs the directory node's answer. */
  answered({ ticket, status, count, key }: SyncReply): void {
    const request = this.#asked.get(ticket);
    if (request === undefined) return;
    // A wait that is registered goes on.
    if (status !== SyncStatus.Registered) this.#asked.delete(ticket);
    const [level, outcome] = describeOutcome(status, count, key);
    this.#tell(level, () => {
      const what = this.#describe(request);
      // Shown without being asked for, so to a reader that knows of no requests.
      if (status === SyncStatus.Abandoned) return `Could ${what}, but ${ABANDONED}`;
      return `Request ${ticket}: ${what}: ${outcome}`;
    });
    if (status !== SyncStatus.Done && status !== SyncStatus.Abandoned) this.#locks.delete(ticket);
    else if ("lock" in request) this.#locks.delete(request.lock);
  }

  /** Logs how a request ended that a thread has made by a link of its own. */
  told(what: string, { status, count }: Pick<SyncReply, "status" | "count">): void {
    const [level, outcome] = describeOutcome(status, count, 0n);
    this.#tell(level, () => `A thread's request: ${what}: ${outcome}`);
  }

  /** Forgets every request: none will be answered. */
  end(): void {
    this.#asked.clear();
    this.#locks.clear();
  }

  #tell(level: Level, text: () => string): void {
    if (level <= this.#level) this.#write(level, text());
  }

  #describe(request: AnsweredRequest): string {
    switch (request.operation) {
      case SyncOperation.Acquire:
        return `acquire semaphore ${request.key}`;
      case SyncOperation.TryAcquire:
        return `try to acquire semaphore ${request.key}`;
      case SyncOperation.Release:
        return `release semaphore ${request.key} by ${request.count}`;
      case SyncOperation.MakeSemaphore:
        return `make a semaphore with ${request.count} permits`;
      case SyncOperation.Arrive:
        return `wait at barrier ${JSON.stringify(request.name)} of ${request.count}`;
      case SyncOperation.Lock:
        return `lock mutex ${JSON.stringify(request.name)}`;
      case SyncOperation.TryLock:
        return `try to lock mutex ${JSON.stringify(request.name)}`;
      case SyncOperation.Unlock:
      case SyncOperation.Abandon: {
        const name = this.#locks.get(request.lock);
        const verb = request.operation === SyncOperation.Unlock ? "unlock" : "abandon";
        return name === undefined ? `${verb} a mutex` : `${verb} mutex ${JSON.stringify(name)}`;
      }
      case SyncOperation.FutexWait:
        return `wait for word ${request.key}`;
      case SyncOperation.FutexNotify:
        return `notify up to ${request.count} that wait for word ${request.key}`;
    }
  }
}

function describeOutcome(
  status: SyncStatus,
  count: number,
  key: bigint,
): [level: Level, outcome: string] {
  // What is refused is an error of the program's call, which tells its user.
  switch (status) {
    case SyncStatus.Done:
      return [Level.Debug, "done"];
    case SyncStatus.Made:
      return [Level.Info, `it has key ${key}`];
    case SyncStatus.Last:
      return [Level.Debug, "done, as the last to arrive"];
    case SyncStatus.Abandoned:
      return [Level.Warning, `done, but ${ABANDONED}`];
    case SyncStatus.Unavailable:
      return [Level.Debug, "it is not available"];
    case SyncStatus.Cancelled:
      return [Level.Info, "given up while it waited"];
    case SyncStatus.Overflow:
      return [Level.Info, "refused, it would have too many permits"];
    case SyncStatus.PartiesMismatch:
      return [Level.Info, `refused, others count ${count} parties`];
    case SyncStatus.NotHolder:
      return [Level.Info, "refused, this lock does not hold it"];
    case SyncStatus.LimitExceeded:
      return [Level.Info, "refused, too many are in use"];
    case SyncStatus.PeerLost:
      return [Level.Info, `refused, node ${count} takes part in it and is gone`];
    case SyncStatus.Registered:
      return [Level.Trace, "registered"];
    case SyncStatus.Notified:
      return [Level.Debug, `${count} woken`];
    case SyncStatus.Quiet:
      return [Level.Debug, `${count} woken, and none waits any more`];
    case SyncStatus.Stirred:
      return [Level.Trace, `word ${key} is waited for`];
    case SyncStatus.Lent:
    case SyncStatus.Moved:
      return [Level.Trace, `word ${key} is lent to this node`];
  }
}
