/** Workers on nodes in other processes, started once and told what to do again and again. */

import type { NodeHandle } from "../../mod.ts";
import type { RemoteNode } from "../support/process_cluster.ts";

/** What a Worker of a crew is sent. */
export interface CrewMessage<Task> {
  /** The node to attach to. */
  readonly handle: NodeHandle;
  /** What to do. */
  readonly task: Task;
}

/** The same number of Workers on each of several nodes, numbered node by node from 0. */
export class Crew<Task> {
  /** How many Workers there are. */
  readonly size: number;
  readonly #nodes: readonly RemoteNode[];
  readonly #perNode: number;

  private constructor(nodes: readonly RemoteNode[], perNode: number) {
    this.#nodes = nodes;
    this.#perNode = perNode;
    this.size = nodes.length * perNode;
  }

  /**
   * Starts a crew.
   *
   * @param nodes The nodes.
   * @param perNode How many Workers each has.
   * @param url The Workers' module. It gets a {@linkcode CrewMessage} for each task, and answers
   * each by one message.
   * @returns The crew.
   */
  static async start<Task>(
    nodes: readonly RemoteNode[],
    perNode: number,
    url: string,
  ): Promise<Crew<Task>> {
    const start = (_node: unknown, url: string, perNode: number): void => {
      const workers = Array.from({ length: perNode }, () => new Worker(url, { type: "module" }));
      Object.assign(globalThis, { crew: workers });
    };
    await Promise.all(nodes.map((node) => node.evaluate(start, url, perNode)));
    return new Crew(nodes, perNode);
  }

  /**
   * Has every Worker do a task at the same time.
   *
   * @param tasks A task for each Worker.
   * @returns Their answers.
   * @throws {Error} What a Worker throws.
   */
  async run(tasks: readonly Task[]): Promise<unknown[]> {
    const all = this.#nodes.map((node, index) =>
      node.evaluate(
        (node, tasks) => {
          const { crew } = globalThis as unknown as { crew: Worker[] };
          return Promise.all(crew.map((worker, index) =>
            new Promise<unknown>((resolve, reject) => {
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = (event) => reject(new Error(event.message));
              worker.postMessage({ handle: node.handle, task: tasks[index] });
            })
          ));
        },
        tasks.slice(index * this.#perNode, (index + 1) * this.#perNode),
      )
    );
    return (await Promise.all(all)).flat();
  }
}
