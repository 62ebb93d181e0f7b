/** A node in another process that runs functions of the test. */

import type { Node } from "../../mod.ts";
import type { Exit, TestProcess } from "./test_process.ts";

/** The report of a {@linkcode RemoteNode} when it has joined. */
export interface RemoteInfo {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  readonly size: number;
  readonly pageSize: number;
  readonly userModeOnly: boolean;
  /** How long joining took, in milliseconds. */
  readonly joinMs: number;
}

/** An error that a function of {@linkcode RemoteNode.evaluate} threw. */
export class RemoteError extends Error {
  /** The name of its class, or its `code` where it has one. */
  readonly code: string;

  /**
   * @param code Its name or code.
   * @param message Its message.
   */
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * A function that runs in another process: it sees its arguments and globals, and no other
 * variable.
 */
// deno-lint-ignore no-explicit-any -- the arguments of any function
type Remote<Args extends any[], Value> = (
  node: Node,
  ...args: Args
) => Value | Promise<Value>;

interface Reply {
  readonly call: number;
  readonly value?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A node in a process of its own, which runs functions of the test. */
export class RemoteNode {
  /** Its process. */
  readonly process: TestProcess;
  /** Its report. */
  readonly info: RemoteInfo;
  #calls = 0;

  private constructor(process: TestProcess, info: RemoteInfo) {
    this.process = process;
    this.info = info;
  }

  /**
   * Waits until a process of `remote_node.ts` has joined.
   *
   * @param process The process.
   * @returns The node.
   */
  static async ready(process: TestProcess): Promise<RemoteNode> {
    const look = () => lines(process.stdout)[0];
    const first = await process.until("joining", look);
    return new RemoteNode(process, JSON.parse(first) as RemoteInfo);
  }

  /** Where it listens, as `host:port`. */
  get at(): string {
    return `${this.info.address}:${this.info.port}`;
  }

  /**
   * Runs a function in the node's process.
   *
   * @param body The function; it is sent as text, so it can use nothing of what is around it.
   * @param args What it is given after the node, as JSON.
   * @returns What it returns, as JSON.
   * @throws {RemoteError} What it throws.
   */
  // deno-lint-ignore no-explicit-any -- the arguments of any function
  async evaluate<Args extends any[], Value>(
    body: Remote<Args, Value>,
    ...args: Args
  ): Promise<Value> {
    const call = ++this.#calls;
    await this.process.write(JSON.stringify({ call, body: body.toString(), args }));
    const { value, error } = await this.process.until(`answering call ${call}`, () => {
      return lines(this.process.stdout).slice(1)
        .map((line) => JSON.parse(line) as Reply)
        .find((reply) => reply.call === call);
    });
    if (error !== undefined) throw new RemoteError(error.code, error.message);
    return value as Value;
  }

  /**
   * Reads a 32-bit word.
   *
   * @param offset Where, in bytes.
   * @returns The word.
   */
  load(offset: number): Promise<number> {
    return this.evaluate((node, at) => Atomics.load(node.view(Int32Array, at, 1), 0), offset);
  }

  /**
   * Writes a 32-bit word.
   *
   * @param offset Where, in bytes.
   * @param word The word.
   */
  async store(offset: number, word: number): Promise<void> {
    await this.evaluate(
      (node, at, word) => Atomics.store(node.view(Int32Array, at, 1), 0, word),
      offset,
      word,
    );
  }

  /** Has its program return, so that the node leaves; waits for the process to end. */
  async leave(): Promise<Exit> {
    await this.process.write("leave");
    return await this.process.exit();
  }
}

/** The whole lines of a text. */
function lines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
