/**
 * The order in which nodes of a launcher join. The nodes are started at once; each tells the
 * launcher when it is ready, is told when to join, and tells that it has. `runtime/engine/turn.ts`
 * is the other side.
 */

import {
  ACCEPT_RETRY_MS,
  HANDSHAKE_MAX_MS,
  LAUNCH_CONNECTIONS_MAX,
  LAUNCH_TICKET_MAX_BYTES,
} from "../limits.ts";
import type { Address } from "../address.ts";
import { formatTicket, TurnWord } from "../engine/turn.ts";

const NEWLINE = 10;

/** What is known of one node. */
interface Turn {
  readonly allowed: PromiseWithResolvers<void>;
  readonly joined: PromiseWithResolvers<void>;
  /** Resolves when the node's connection has ended, and all that was said there is heard. */
  heard: Promise<void>;
  otherGone: boolean;
  /** Whether the node has come for its turn. */
  hasCome: boolean;
}

/** The turns of the nodes of one launcher. */
export class Turns implements Disposable {
  readonly #listener: Deno.TcpListener;
  readonly #directory: Address;
  /** The same for all nodes of this launcher, and for no other process of the machine. */
  readonly secret: string = crypto.randomUUID();
  readonly #turns = new Map<string, Turn>();
  readonly #connections = new Set<Deno.TcpConn>();
  #ended = false;

  /**
   * @param nodes How many nodes there are.
   * @param directory Where node 1 will listen. Others reach the launcher on the same interface.
   */
  constructor(nodes: number, directory: Address) {
    this.#directory = directory;
    this.#listener = Deno.listen({ hostname: directory.hostname, port: 0 });
    for (let node = 1; node <= nodes; node++) {
      this.#turns.set(this.ticket(node), {
        allowed: Promise.withResolvers(),
        joined: Promise.withResolvers(),
        heard: Promise.resolve(),
        otherGone: false,
        hasCome: false,
      });
    }
    void this.#acceptAll();
  }

  /** What a node is told in the variable `TURN_VARIABLE`. */
  ticket(node: number): string {
    const { secret } = this;
    const { port: directoryPort } = this.#directory;
    return formatTicket({ launcher: this.#listener.addr, directoryPort, node, secret });
  }

  /**
   * Lets a node join.
   *
   * @param node The node.
   * @returns Resolves once the node has joined; never, where it does not.
   */
  let(node: number): Promise<void> {
    const { allowed, joined } = this.#turn(node);
    allowed.resolve();
    return joined.promise;
  }

  /**
   * Whether a node knew, when it ended, that another one had failed or was gone.
   *
   * @param node The node, whose process has ended.
   */
  async knewOtherGone(node: number): Promise<boolean> {
    const turn = this.#turn(node);
    await turn.heard;
    return turn.otherGone;
  }

  /**
   * Whether a node has come for its turn: its program does call `run` or `join`, and joins the
   * directory of this launcher.
   *
   * @param node The node.
   */
  hasCome(node: number): boolean {
    return this.#turn(node).hasCome;
  }

  #turn(node: number): Turn {
    return this.#turns.get(this.ticket(node))!;
  }

  async #acceptAll(): Promise<void> {
    const serving = new Set<Promise<void>>();
    while (!this.#ended) {
      try {
        const connection = await this.#listener.accept();
        this.#connections.add(connection);
        const served = this.#serve(connection).finally(() => serving.delete(served));
        serving.add(served);
        // Further connections wait in the listener's backlog.
        if (serving.size >= LAUNCH_CONNECTIONS_MAX) await Promise.race(serving);
      } catch {
        if (this.#ended) return;
        // As for want of file descriptors.
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  /** Serves one connection until it ends; never throws. */
  async #serve(connection: Deno.TcpConn): Promise<void> {
    try {
      const turn = this.#turns.get(await this.#firstLine(connection));
      if (turn === undefined) return;
      turn.hasCome = true;
      const heard = this.#hear(connection, turn).catch(() => {});
      turn.heard = Promise.all([turn.heard, heard]).then(() => {});
      await heard;
    } catch {
      // Of a connection that has broken nobody is told: the launcher sees how the process ends.
    } finally {
      this.#end(connection);
    }
  }

  /** Reads the first line, if it is short and comes soon; anything else is no ticket. */
  async #firstLine(connection: Deno.TcpConn): Promise<string> {
    const timer = setTimeout(() => this.#end(connection), HANDSHAKE_MAX_MS);
    const bytes = new Uint8Array(LAUNCH_TICKET_MAX_BYTES);
    try {
      for (let end = 0; end < bytes.length;) {
        const length = await connection.read(bytes.subarray(end));
        if (length === null) break;
        end += length;
        if (bytes[end - 1] === NEWLINE) return new TextDecoder().decode(bytes.subarray(0, end - 1));
      }
      return "";
    } finally {
      clearTimeout(timer);
    }
  }

  async #hear(connection: Deno.TcpConn, turn: Turn): Promise<void> {
    await turn.allowed.promise;
    await connection.write(Uint8Array.of(NEWLINE));
    const words = new Uint8Array(Object.keys(TurnWord).length);
    for (;;) {
      const length = await connection.read(words);
      if (length === null) return;
      for (const word of words.subarray(0, length)) {
        if (word === TurnWord.Joined) turn.joined.resolve();
        if (word === TurnWord.OtherGone) turn.otherGone = true;
      }
    }
  }

  /** Ends all connections. */
  [Symbol.dispose](): void {
    this.#ended = true;
    this.#listener.close();
    for (const connection of this.#connections) this.#end(connection);
  }

  #end(connection: Deno.TcpConn): void {
    if (this.#connections.delete(connection)) connection.close();
  }
}
