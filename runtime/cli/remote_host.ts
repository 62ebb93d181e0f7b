/** A machine on which a launcher has nodes: what is done there for all of them. */

import { LAUNCH_CONNECTING_MAX } from "../limits.ts";
import type { LaunchHost } from "./host_list.ts";
import { SshSession } from "./ssh_session.ts";
import { WATCHDOG_SCRIPT } from "./watchdog.ts";

/**
 * One machine. A shell there, on a connection of its own, sends signals to nodes, and ends them
 * when the launcher is gone.
 */
export class RemoteHost implements AsyncDisposable {
  /** What the environment of each node there has, and that of no other process. */
  readonly secret: string = crypto.randomUUID();
  readonly #ssh: readonly string[];
  readonly #destination: string;
  readonly #watchdog: SshSession;
  /** Resolves with whether the shell is there. */
  readonly watched: Promise<boolean>;
  /** Whether every node has ended, as far as is known. */
  #hasAllEnded = true;
  /** Connections that are being made: a server drops those that are too many. */
  readonly #connecting = new Set<Promise<unknown>>();

  /**
   * Connects to the machine.
   *
   * @param ssh The words of the command that stands for `ssh`.
   * @param host The machine.
   * @throws {TdsmError} When `ssh` cannot be started.
   */
  constructor(ssh: readonly string[], { destination }: LaunchHost) {
    this.#ssh = ssh;
    this.#destination = destination;
    this.#watchdog = new SshSession(ssh, destination);
    this.#connecting.add(this.#watchdog.ready);
    this.watched = this.#watch();
  }

  async #watch(): Promise<boolean> {
    const { ready, stderr } = this.#watchdog;
    // What keeps `ssh` from the machine is told by the connections of its nodes.
    void stderr.pipeTo(new WritableStream());
    const isReady = await ready;
    this.#connecting.delete(ready);
    if (!isReady) return false;
    await this.#watchdog.run(WATCHDOG_SCRIPT);
    await this.#watchdog.say(`${this.secret}\n`);
    return true;
  }

  /**
   * Connects once more, for a node.
   *
   * @returns The connection, as soon as it may be made.
   * @throws {TdsmError} When `ssh` cannot be started.
   */
  async connect(): Promise<SshSession> {
    while (this.#connecting.size >= LAUNCH_CONNECTING_MAX) await Promise.race(this.#connecting);
    const session = new SshSession(this.#ssh, this.#destination);
    const { ready } = session;
    this.#connecting.add(ready);
    void ready.then(() => this.#connecting.delete(ready));
    return session;
  }

  /**
   * Sends a signal to a process there; nothing happens when it has ended.
   *
   * @param signal The signal.
   * @param processes The processes; a group is the negative number of its first one.
   */
  signal(signal: Deno.Signal, ...processes: readonly number[]): void {
    const name = signal.replace(/^SIG/, "");
    void this.#watchdog.say(`signal ${name} ${processes.join(" ")}\n`);
  }

  /** A node may still run there: the shell is to end what it finds, as if the launcher was gone. */
  leaveNone(): void {
    this.#hasAllEnded = false;
  }

  /** No more is to be done there. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#watchdog.endSoon();
    if (this.#hasAllEnded) await this.#watchdog.say("ended\n");
    await this.#watchdog.endInput();
    await this.#watchdog.code;
  }
}
