/** Nodes as the coordinator of the benchmark sees them. */

import type { NodeOptions } from "../mod.ts";
import { type SettingName, SETTINGS } from "../runtime/settings/table.ts";
import type { Actions, NodeReady } from "./node.ts";
import { Served } from "./process.ts";

/** Settings of the nodes of a cluster, by the names that programs give them. */
export type NodeSettings = Readonly<Partial<Pick<NodeOptions, PlainSetting>>>;

/**
 * The settings whose values are texts, numbers or switches, and that a cluster does not set itself.
 */
type PlainSetting = Exclude<SettingName, "directory" | "directoryAddress" | "port">;

/** Settings as flags; a key is none, since all users see how a process was started. */
function flags({ key: _key, ...settings }: NodeSettings): string[] {
  return Object.entries(settings).map(([name, value]) => {
    const { flag } = SETTINGS[name as SettingName];
    if (typeof value === "boolean") return value ? `--${flag}` : `--no-${flag}`;
    return `--${flag}=${value}`;
  });
}

/** A node in a process of its own. */
export class BenchNode implements AsyncDisposable {
  readonly #served: Served<NodeReady>;

  private constructor(served: Served<NodeReady>) {
    this.#served = served;
  }

  /**
   * Starts a node.
   *
   * @param settings Its settings.
   * @param directory The node that hosts the directory; none to host it.
   * @param core The core that it is tied to, if any.
   * @param port Where it listens; 0 is any free port.
   * @returns The node, which has joined.
   */
  static async start(
    settings: NodeSettings,
    directory?: Pick<BenchNode, "at">,
    core?: number,
    port = 0,
  ): Promise<BenchNode> {
    const role = directory === undefined
      ? ["--directory"]
      : ["--no-directory", `--directory-address=${directory.at}`];
    const args = [...role, `--port=${port}`, ...flags(settings)];
    const { key } = settings;
    const env = key === undefined ? {} : { TDSM_KEY: String(key) };
    return new BenchNode(await Served.start<NodeReady>("node.ts", { args, env, core }));
  }

  /** What it said when it had joined. */
  get ready(): NodeReady {
    return this.#served.ready;
  }

  /** Where it listens. */
  get at(): string {
    return `${this.ready.address}:${this.ready.port}`;
  }

  /**
   * Has it do something; one thing at a time.
   *
   * @param action What.
   * @param args The action's arguments.
   * @returns The action's result.
   */
  async run<Name extends keyof Actions>(
    action: Name,
    args: Parameters<Actions[Name]>[1],
  ): Promise<Awaited<ReturnType<Actions[Name]>>> {
    return await this.#served.ask(action, args) as Awaited<ReturnType<Actions[Name]>>;
  }

  /** Ends its process at once, whatever it has. */
  async kill(): Promise<void> {
    await this.#served.kill();
  }

  /** Has it leave, and waits for its process to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served[Symbol.asyncDispose]();
  }
}

/** Nodes of one cluster. */
export class BenchCluster implements AsyncDisposable {
  readonly #nodes: readonly BenchNode[];

  private constructor(nodes: readonly BenchNode[]) {
    this.#nodes = nodes;
  }

  /**
   * Starts nodes.
   *
   * @param count How many, at least 1.
   * @param settings The settings of all.
   * @param cores The core of each; those behind the last share it. Empty to tie none.
   * @returns The cluster, once all have joined.
   */
  static async start(
    count: number,
    settings: NodeSettings = {},
    cores: readonly number[] = [],
  ): Promise<BenchCluster> {
    const coreOf = (index: number): number | undefined => cores[index] ?? cores.at(-1);
    const directory = await BenchNode.start(settings, undefined, coreOf(0));
    const joining = Array.from(
      { length: count - 1 },
      (_, index) => BenchNode.start(settings, directory, coreOf(index + 1)),
    );
    const joined = await Promise.allSettled(joining);
    const others = joined.filter((result) => result.status === "fulfilled")
      .map(({ value }) => value);
    const cluster = new BenchCluster([
      directory,
      ...others.sort((a, b) => a.ready.id - b.ready.id),
    ]);
    const failure = joined.find((result) => result.status === "rejected");
    if (failure === undefined) return cluster;
    await cluster[Symbol.asyncDispose]();
    throw failure.reason;
  }

  /** All nodes, in order of their ids. */
  get nodes(): readonly BenchNode[] {
    return this.#nodes;
  }

  /**
   * @param id A node's id: 1 is the directory node, the home of every page.
   * @returns The node.
   */
  node(id: number): BenchNode {
    return this.#nodes[id - 1]!;
  }

  /** Ends all at once: no node takes over what only one has. */
  async kill(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()));
  }

  /** Has all leave; the directory node waits for the others. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}
