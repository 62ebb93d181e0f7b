/**
 * Nodes in memory cgroups, and data in their region that is more than any one of them has room for.
 * The kernel kills a node that takes more memory than its limit should let it take.
 */

import type { NodeStats } from "../../mod.ts";
import { ownBytes } from "../support/own_memory.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { MemoryGroup } from "./memory_group.ts";

const MIB = 2 ** 20;
/** A call is about no more bytes than this, so that each ends soon. */
const PIECE_BYTES = 8 * MIB;

/** A part of the region, in bytes. */
export interface Part {
  readonly from: number;
  readonly bytes: number;
}

/** How large everything is. */
export interface Sizes {
  /** What the cgroup of each node has, in MiB. */
  readonly groupMiB: number;
  /** The limit of each node; without it that follows from the cgroup. */
  readonly limit?: string;
  /** The data, in MiB. */
  readonly dataMiB: number;
}

/** Nodes in cgroups; the first one hosts the directory. */
export class BoundedNodes implements AsyncDisposable {
  readonly nodes: RemoteNode[] = [];
  readonly #groups: MemoryGroup[] = [];
  readonly #cluster = new ProcessCluster();
  readonly #dataBytes: number;
  readonly #env: Readonly<Record<string, string>>;

  /**
   * @param dataMiB The size of the region, in MiB: all of it is data.
   * @param env Environment variables of the nodes.
   */
  constructor(dataMiB: number, env: Readonly<Record<string, string>> = {}) {
    this.#dataBytes = dataMiB * MIB;
    this.#env = env;
  }

  /**
   * Starts three nodes, each in a cgroup.
   *
   * @param sizes How large everything is.
   * @param env Environment variables of the nodes.
   * @returns The nodes.
   */
  static async three(
    { groupMiB, limit, dataMiB }: Sizes,
    env: Readonly<Record<string, string>> = {},
  ): Promise<BoundedNodes> {
    const bounded = new BoundedNodes(dataMiB, env);
    try {
      while (bounded.nodes.length < 3) await bounded.start(groupMiB, limit);
    } catch (error) {
      await bounded[Symbol.asyncDispose]();
      throw error;
    }
    return bounded;
  }

  /**
   * Starts a node.
   *
   * @param groupMiB What its cgroup has, in MiB; without it the node has what the test has.
   * @param limit The node's own limit; without it that follows from the cgroup.
   * @returns The node.
   */
  async start(groupMiB?: number, limit?: string): Promise<RemoteNode> {
    const [directory] = this.nodes;
    const flags = directory === undefined
      ? ["--directory", "--port=0", `--size=${this.#dataBytes}`]
      : [`--directory-address=${directory.at}`];
    if (limit !== undefined) flags.push(`--memory-limit=${limit}`);
    let prefix: string[] = [];
    if (groupMiB !== undefined) {
      const group = MemoryGroup.make(groupMiB * MIB);
      this.#groups.push(group);
      prefix = group.prefix;
    }
    const node = await RemoteNode.ready(this.#cluster.spawnNode(flags, { prefix, env: this.#env }));
    this.nodes.push(node);
    return node;
  }

  /** All of the data. */
  get whole(): Part {
    return { from: 0, bytes: this.#dataBytes };
  }

  /** One of as many equal parts of the data as there are writers. */
  part(index: number, writers: number): Part {
    const bytes = Math.floor(this.#dataBytes / writers / PAGE_BYTES) * PAGE_BYTES;
    return { from: index * bytes, bytes };
  }

  /** How many processes the kernel has killed. */
  get killed(): number {
    return this.#groups.reduce((sum, { killed }) => sum + killed, 0);
  }

  /** The most memory that each cgroup had in use, in MiB. */
  get peaksMiB(): number[] {
    return this.#groups.map(({ peakBytes }) => Math.round(peakBytes / MIB));
  }

  /** The memory of each process that is neither a file's nor shared, as the region is, in bytes. */
  async ownBytes(): Promise<number[]> {
    return await Promise.all(this.nodes.map(({ process }) => ownBytes(process)));
  }

  /** What the nodes have counted. */
  async stats(): Promise<NodeStats[]> {
    return await Promise.all(this.nodes.map((node) => node.evaluate((it) => it.stats())));
  }

  /** Has all nodes end; throws where one does not end well. */
  async leave(): Promise<void> {
    // The directory node ends last, by itself, once it was told.
    const ends = this.nodes.toReversed().map((node) => node.leave());
    for (const { code, stderr } of await Promise.all(ends)) {
      if (code !== 0) throw new Error(`A node ended with code ${code}: ${stderr}`);
    }
  }

  /** Ends every process that is still there, and removes the cgroups. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
    for (const group of this.#groups) group[Symbol.dispose]();
  }
}

const PAGE_BYTES = 4096;

/** The pieces of a part, one after the other. */
export function* piecesOf({ from, bytes }: Part): IterableIterator<Part> {
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    yield { from: from + at, bytes: Math.min(PIECE_BYTES, bytes - at) };
  }
}

/**
 * Writes each word of a part: a number that depends on its place and on `salt`.
 *
 * @param node The node that writes.
 * @param part Where.
 * @param salt Any number.
 */
export async function write(node: RemoteNode, part: Part, salt = 0): Promise<void> {
  for (const { from, bytes } of piecesOf(part)) {
    await node.evaluate(
      (it, from, bytes, salt) => {
        const words = it.view(Int32Array, from, bytes / 4);
        for (let at = 0; at < words.length; at++) {
          words[at] = Math.imul(from / 4 + at, 0x9e37_79b1) ^ salt;
        }
      },
      from,
      bytes,
      salt,
    );
  }
}

/**
 * Reads each word of a part, and compares it with what {@linkcode write} has written.
 *
 * @param node The node that reads.
 * @param part Where.
 * @param salt The writer's.
 * @throws {Error} Where a word is another.
 */
export async function verify(node: RemoteNode, part: Part, salt = 0): Promise<void> {
  for (const { from, bytes } of piecesOf(part)) {
    const wrong = await node.evaluate(
      (it, from, bytes, salt) => {
        const words = it.view(Int32Array, from, bytes / 4);
        for (let at = 0; at < words.length; at++) {
          if (words[at] !== (Math.imul(from / 4 + at, 0x9e37_79b1) ^ salt)) return at * 4;
        }
        return -1;
      },
      from,
      bytes,
      salt,
    );
    if (wrong >= 0) {
      throw new Error(`Node ${node.info.id} reads a wrong word at byte ${from + wrong}`);
    }
  }
}
