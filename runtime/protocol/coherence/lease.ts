/**
 * How long a node may use the pages that it has without a word of the directory node. Other nodes
 * may overwrite them once the directory node has given the node up, and a node that was stopped, or
 * is cut off, does not hear of that. So a node counts on an answer only from the moment at which it
 * sent the ping that was answered: the directory node has heard it since then, however old the
 * answer is.
 */

/** A ping that may be answered yet. */
interface SentPing {
  readonly number: number;
  readonly sentMs: number;
}

/** The lease of one node. Times are of a clock that counts suspension, in milliseconds. */
export class Lease {
  readonly #lengthMs: number;
  /** The oldest first; no older than the lease is long, since such an answer gives no time. */
  readonly #sent: SentPing[] = [];
  #endMs: number;

  /**
   * @param lengthMs How long an answer gives.
   * @param sinceMs When this node sent what the directory node has answered by letting it in.
   */
  constructor(lengthMs: number, sinceMs: number) {
    this.#lengthMs = lengthMs;
    this.#endMs = sinceMs + lengthMs;
  }

  /** When the lease ends if no answer comes. */
  get endMs(): number {
    return this.#endMs;
  }

  /** Whether the lease has ended. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.endMs;
  }

  /** A ping is about to be sent. */
  pinged(number: number, nowMs: number): void {
    while (this.#sent.length > 0 && this.#sent[0]!.sentMs + this.#lengthMs <= nowMs) {
      this.#sent.shift();
    }
    this.#sent.push({ number, sentMs: nowMs });
  }

  /** The directory node has had a ping, and all before it. */
  answered(number: number): void {
    let sent = this.#sent[0];
    while (sent !== undefined && sent.number <= number) {
      this.#endMs = sent.sentMs + this.#lengthMs;
      this.#sent.shift();
      sent = this.#sent[0];
    }
  }
}
