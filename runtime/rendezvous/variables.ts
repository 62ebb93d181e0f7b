/** What a launcher tells by the environment. */

import { TdsmError } from "../errors.ts";
import { NODES_MAX } from "../limits.ts";
import { refused } from "../settings/flags.ts";
import { type LauncherKind, seenLauncher } from "../settings/rendezvous_choice.ts";
import { readEnvironment } from "../settings/settings.ts";
import type { Place } from "./rendezvous.ts";

/** What there is to know of each launcher. */
const LAUNCHERS: {
  readonly [Kind in LauncherKind]: {
    /** Its name, for people. */
    readonly name: string;
    /** How a program is started by it. */
    readonly start: string;
    /** The variable with the rank of a process. */
    readonly rank: string;
    /** The variable with the number of ranks. */
    readonly size: string;
  };
} = {
  slurm: {
    name: "Slurm",
    start: "srun -n 4 …",
    rank: "SLURM_PROCID",
    size: "SLURM_STEP_NUM_TASKS",
  },
  pmi: { name: "PMI", start: "mpiexec -n 4 …", rank: "PMI_RANK", size: "PMI_SIZE" },
  openmpi: {
    name: "Open MPI",
    start: "mpiexec -n 4 …",
    rank: "OMPI_COMM_WORLD_RANK",
    size: "OMPI_COMM_WORLD_SIZE",
  },
};

/**
 * The variables of a launcher.
 *
 * @param kind The launcher.
 * @returns A reader of its variables.
 */
export function variablesOf(kind: LauncherKind): LauncherVariables {
  return new LauncherVariables(LAUNCHERS[kind].name, LAUNCHERS[kind].start);
}

/**
 * The place of this process among those that a launcher has started.
 *
 * @param kind The launcher.
 * @param variables Its variables.
 * @returns The place.
 * @throws {TdsmError} `PermissionMissing`, or `InvalidOption` where it is missing or wrong.
 */
export function placeBy(kind: LauncherKind, variables: LauncherVariables): Place {
  return variables.place(LAUNCHERS[kind].rank, LAUNCHERS[kind].size);
}

/**
 * The place of this process, where nodes find each other in another way than the launcher's own.
 *
 * @returns The place; `undefined` where no launcher is seen.
 * @throws {TdsmError} As {@linkcode placeBy}.
 */
export function placeSeen(): Place | undefined {
  const kind = seenLauncher(readEnvironment());
  return kind && placeBy(kind, variablesOf(kind));
}

/** Reads variables of one launcher; each of them has to be there. */
export class LauncherVariables {
  readonly #launcher: string;
  readonly #start: string;

  /**
   * @param launcher The launcher, for people: `Slurm`.
   * @param start How a program is started by it: `srun -n 4 …`.
   */
  constructor(launcher: string, start: string) {
    this.#launcher = launcher;
    this.#start = start;
  }

  /**
   * Reads a variable.
   *
   * @param name Its name.
   * @returns Its text; `undefined` where there is none, or an empty one.
   * @throws {TdsmError} `PermissionMissing`
   */
  find(name: string): string | undefined {
    if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") {
      throw new TdsmError(
        "PermissionMissing",
        `Cannot read ${name}, by which ${this.#launcher} tells where the directory is: ` +
          "run Deno with --allow-env",
        { operation: "join" },
      );
    }
    return Deno.env.get(name) || undefined;
  }

  /**
   * Reads a variable that the launcher sets.
   *
   * @param name Its name.
   * @returns Its text.
   * @throws {TdsmError} `PermissionMissing`, or `InvalidOption` where there is none.
   */
  text(name: string): string {
    const text = this.find(name);
    if (text !== undefined) return text;
    throw this.wrong(`${name} is not set. Start the program by ${this.#start}`);
  }

  /**
   * Reads a whole number.
   *
   * @param name The variable.
   * @param min The least that it may be.
   * @returns The number.
   * @throws {TdsmError} `PermissionMissing`, or `InvalidOption` where there is no such number.
   */
  number(name: string, min = 0): number {
    const text = this.text(name);
    const number = /^\d+$/.test(text) ? Number(text) : NaN;
    if (number >= min && Number.isSafeInteger(number)) return number;
    throw this.wrong(
      `${name} is ${JSON.stringify(text)}, and must be a whole number from ${min} on`,
    );
  }

  /**
   * Reads a rank, and how many there are.
   *
   * @param rankName The variable with the rank.
   * @param sizeName The variable with the number of ranks.
   * @returns The node's place.
   * @throws {TdsmError} `PermissionMissing`, or `InvalidOption` where one is missing or wrong, or
   * there are more than {@linkcode NODES_MAX} ranks.
   */
  place(rankName: string, sizeName: string): Place {
    const rank = this.number(rankName);
    const nodeCount = this.number(sizeName, 1);
    // An id is kept for each rank, and all nodes wait for so many.
    if (nodeCount > NODES_MAX) {
      throw this.wrong(`${sizeName} is ${nodeCount}, and a cluster has at most ${NODES_MAX} nodes`);
    }
    if (rank < nodeCount) return { rank, nodeCount };
    throw this.wrong(`${rankName} is ${rank}, of ${nodeCount} as ${sizeName} says`);
  }

  /**
   * The error that what the launcher tells cannot be used.
   *
   * @param reason Why.
   * @param cause What it was made of.
   * @returns The error.
   */
  wrong(reason: string, cause?: unknown): TdsmError {
    return refused(`Cannot find the directory by ${this.#launcher}: ${reason}`, cause);
  }
}
