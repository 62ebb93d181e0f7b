/**
 * Visits every state of a model, nearest first, so that the trace to a broken promise is a shortest
 * one.
 *
 * Besides what holds in each state, it is checked that everything gets done: from each state a path
 * of actions that need no thread's wish leads to one where no such action is left, and there
 * nothing may be pending. One such path is followed from each state; as its states are visited
 * themselves, that takes one number a state.
 */

import { InvariantError } from "../simulator/coherence/oracle.ts";
import { StateSet } from "./state_set.ts";

/** What can be explored: states, and what leads from one to the next. */
export interface TransitionSystem<State, Action> {
  /** The state before anything happens. */
  readonly initial: State;
  /** Everything that can happen; what happens in the end anyway comes first. */
  actions(state: State): Action[];
  /**
   * The state that an action leads to.
   *
   * @throws {InvariantError} The promise that the action breaks.
   */
  apply(state: State, action: Action): State;
  /** Whether an action need not happen. */
  isWish(action: Action): boolean;
  /**
   * Checks a state from which nothing happens by itself.
   *
   * @throws {InvariantError} The promise that is broken.
   */
  checkQuiescence(state: State): void;
  /** 53 bits of a hash over everything that matters about a state. */
  fingerprint(state: State): number;
}

/** Where to stop. */
export interface Limits {
  /** The most states to visit. */
  readonly states: number;
  /** Asked now and then: whether to go on. */
  readonly proceed: () => boolean;
}

/** The result of an exploration. */
export interface Exploration<Action = unknown> {
  /** How many states were reached. */
  readonly states: number;
  /** How many actions were taken. */
  readonly transitions: number;
  /** The longest of the shortest ways to a state. */
  readonly depth: number;
  /** Whether there is no state that was not visited. */
  readonly complete: boolean;
  /** A broken promise, and the actions that lead there. */
  readonly failure: { readonly reason: string; readonly trace: readonly Action[] } | undefined;
}

/** States between two questions whether to go on. */
const PROCEED_STATES = 4096;
/** In place of the number of a state. */
const NONE = -1;
/** The state was not visited, so it is not known whether everything gets done from there. */
const UNVISITED = -2;

/** Numbers that grow in number. */
class Column {
  #values = new Int32Array(1 << 16);

  get(index: number): number {
    return this.#values[index]!;
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const values = new Int32Array(this.#values.length * 2);
      values.set(this.#values);
      this.#values = values;
    }
    this.#values[index] = value;
  }
}

/** One search. */
class Search<State, Action> {
  readonly #model: TransitionSystem<State, Action>;
  readonly #seen = new StateSet();
  /** How each state was first reached. */
  readonly #parents = new Column();
  readonly #actions = new Column();
  /** The next state on the way to where everything is done. */
  readonly #ways = new Column();
  transitions = 0;

  constructor(model: TransitionSystem<State, Action>) {
    this.#model = model;
  }

  get states(): number {
    return this.#seen.size;
  }

  /** Adds a state; returns its number if it is new. */
  enter(state: State, parent: number, action: number): { id: number; added: boolean } {
    const entry = this.#seen.add(this.#model.fingerprint(state));
    if (entry.added) {
      this.#parents.set(entry.id, parent);
      this.#actions.set(entry.id, action);
      this.#ways.set(entry.id, UNVISITED);
    }
    return entry;
  }

  /** Visits a state: does everything that it allows, and hands out the states that are new. */
  visit(state: State, id: number, found: (state: State, id: number) => void): void {
    const actions = this.#model.actions(state);
    const wished = actions[0] === undefined || this.#model.isWish(actions[0]);
    if (wished) {
      this.#model.checkQuiescence(state);
      this.#ways.set(id, NONE);
    }
    for (const [index, action] of actions.entries()) {
      this.transitions++;
      const next = this.#model.apply(state, action);
      const entry = this.enter(next, id, index);
      if (index === 0 && !wished) this.#ways.set(id, entry.id);
      if (entry.added) found(next, entry.id);
    }
  }

  /** Checks that no way goes round in a circle; returns a state from which one does. */
  findCircle(): number | undefined {
    const finished = new Uint8Array(this.states);
    for (let start = 0; start < this.states; start++) {
      const path: number[] = [];
      let id = start;
      while (id >= 0 && finished[id] === 0) {
        finished[id] = 1;
        path.push(id);
        id = this.#ways.get(id);
      }
      if (id >= 0 && finished[id] === 1) return id;
      for (const passed of path) finished[passed] = 2;
    }
    return undefined;
  }

  /** The actions that led to a state first. */
  trace(id: number, last?: number): Action[] {
    const indices = last === undefined ? [] : [last];
    for (; this.#parents.get(id) !== NONE; id = this.#parents.get(id)) {
      indices.push(this.#actions.get(id));
    }
    const trace: Action[] = [];
    let state = this.#model.initial;
    for (const index of indices.reverse()) {
      const action = this.#model.actions(state)[index]!;
      trace.push(action);
      try {
        state = this.#model.apply(state, action);
      } catch (error) {
        if (error instanceof InvariantError) break;
        throw error;
      }
    }
    return trace;
  }

  /** The first action that breaks a promise in a state. */
  culprit(state: State): number | undefined {
    const index = this.#model.actions(state).findIndex((action) => {
      try {
        this.#model.apply(state, action);
        return false;
      } catch {
        return true;
      }
    });
    return index >= 0 ? index : undefined;
  }
}

/**
 * Visits the states of a model.
 *
 * @param model What to explore.
 * @param limits Where to stop.
 * @returns What was found.
 */
export function explore<State, Action>(
  model: TransitionSystem<State, Action>,
  limits: Limits,
): Exploration<Action> {
  const search = new Search(model);
  const initial = model.initial;
  let frontier = [{ state: initial, id: search.enter(initial, NONE, 0).id }];
  let depth = 0;
  let complete = true;
  const result = (failure: Exploration<Action>["failure"]): Exploration<Action> => {
    return { states: search.states, transitions: search.transitions, depth, complete, failure };
  };
  for (let visited = 0; frontier.length > 0 && complete; depth++) {
    const next: typeof frontier = [];
    for (const { state, id } of frontier) {
      if (
        search.states >= limits.states || (++visited % PROCEED_STATES === 0 && !limits.proceed())
      ) {
        complete = false;
        break;
      }
      try {
        search.visit(state, id, (found, foundId) => next.push({ state: found, id: foundId }));
      } catch (error) {
        if (!(error instanceof InvariantError)) throw error;
        complete = false;
        return result({ reason: error.message, trace: search.trace(id, search.culprit(state)) });
      }
    }
    frontier = next;
  }
  const circle = search.findCircle();
  if (circle === undefined) return result(undefined);
  return result({ reason: "messages go round for ever", trace: search.trace(circle) });
}
