/** The litmus tests, each once, as data for every back end. */

import type { Instruction, LitmusTest } from "./program.ts";

const X = 0;
const Y = 1;
const any = undefined;

function load(word: number): Instruction {
  return { kind: "load", word };
}

function store(word: number, value: number): Instruction {
  return { kind: "store", word, value };
}

function add(word: number, value: number): Instruction {
  return { kind: "add", word, value };
}

function exchange(word: number, value: number): Instruction {
  return { kind: "exchange", word, value };
}

function compareExchange(word: number, expected: number, value: number): Instruction {
  return { kind: "compareExchange", word, expected, value };
}

/** Every litmus test. The first eleven have the names of the literature. */
export const LITMUS_TESTS: readonly LitmusTest[] = [
  {
    name: "SB",
    about: "store buffering: each reads what the other writes, and both read nothing",
    threads: [[store(X, 1), load(Y)], [store(Y, 1), load(X)]],
    finals: [],
    relaxed: [0, 0],
  },
  {
    name: "MP",
    about: "message passing: the flag is seen before the message",
    threads: [[store(X, 1), store(Y, 1)], [load(Y), load(X)]],
    finals: [],
    relaxed: [1, 0],
  },
  {
    name: "LB",
    about: "load buffering: each reads what the other writes only later",
    threads: [[load(X), store(Y, 1)], [load(Y), store(X, 1)]],
    finals: [],
    relaxed: [1, 1],
  },
  {
    name: "IRIW",
    about: "independent reads of independent writes: two readers see two writes in opposite order",
    threads: [[store(X, 1)], [store(Y, 1)], [load(X), load(Y)], [load(Y), load(X)]],
    finals: [],
    relaxed: [1, 0, 1, 0],
  },
  {
    name: "CoRR",
    about: "coherence of two reads: the newer value is read before the older one",
    threads: [[store(X, 1)], [load(X), load(X)]],
    finals: [],
    relaxed: [1, 0],
  },
  {
    name: "CoWW",
    about: "coherence of two writes: the earlier one stays, or is seen last",
    threads: [[store(X, 1), store(X, 2)], [load(X), load(X)]],
    finals: [X],
    relaxed: [any, any, 1],
  },
  {
    name: "CoRW",
    about: "coherence of a read and a write: what was read overwrites what was written behind it",
    threads: [[load(X), store(X, 1)], [store(X, 2)]],
    finals: [X],
    relaxed: [2, 2],
  },
  {
    name: "2+2W",
    about: "two pairs of writes: the first of each is the last",
    threads: [[store(X, 1), store(Y, 2)], [store(Y, 1), store(X, 2)]],
    finals: [X, Y],
    relaxed: [1, 1],
  },
  {
    name: "WRC",
    about: "write to read causality: a thread that is told of a write does not see it",
    threads: [[store(X, 1)], [load(X), store(Y, 1)], [load(Y), load(X)]],
    finals: [],
    relaxed: [1, 1, 0],
  },
  {
    name: "R",
    about: "a write loses to a later one, whose writer then misses what was written before it",
    threads: [[store(X, 1), store(Y, 1)], [store(Y, 2), load(X)]],
    finals: [Y],
    relaxed: [0, 2],
  },
  {
    name: "S",
    about: "a write that was read about is overwritten by an older one",
    threads: [[store(X, 2), store(Y, 1)], [load(Y), store(X, 1)]],
    finals: [X],
    relaxed: [1, 2],
  },
  {
    name: "RMW",
    about: "four threads add to a word, and an addition is lost",
    threads: [[add(X, 1)], [add(X, 1)], [add(X, 1)], [add(X, 1)]],
    finals: [X],
    relaxed: [any, any, any, any, 3],
  },
  {
    name: "RMW+W",
    about: "a store between the read and the write of an addition is lost",
    threads: [[add(X, 2)], [store(X, 1)]],
    finals: [X],
    relaxed: [0, 2],
  },
  {
    name: "RMW+CAS",
    about: "two compare with nothing and exchange, and both succeed",
    threads: [[compareExchange(X, 0, 1)], [compareExchange(X, 0, 2)]],
    finals: [X],
    relaxed: [0, 0, any],
  },
  {
    name: "SB+RMW",
    about: "store buffering with an exchange between the store and the load",
    threads: [[store(X, 1), exchange(X, 1), load(Y)], [store(Y, 1), exchange(Y, 1), load(X)]],
    finals: [],
    relaxed: [any, 0, any, 0],
  },
];
