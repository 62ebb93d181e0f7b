import { assert, assertEquals } from "@std/assert";

import type { PageRun } from "./page.ts";
import { Miss, SequenceDetector } from "./sequence_detector.ts";

Deno.test("SequenceDetector: a walk asks for twice as much at each miss, up to the most", () => {
  const sequences = new SequenceDetector(8);
  let page = 100;
  const lengths: number[] = [];
  for (let miss = 0; miss < 6; miss++) {
    const length = sequences.miss(page, Miss.Read);
    lengths.push(length);
    page += length;
  }
  assertEquals(lengths, [1, 2, 4, 8, 8, 8]);
});

Deno.test("SequenceDetector: misses here and there ask for one page each", () => {
  const sequences = new SequenceDetector(8);
  const counts = [5, 90, 7, 3, 200].map((page) => sequences.miss(page, Miss.Read));
  assertEquals(counts, [1, 1, 1, 1, 1]);
});

Deno.test("SequenceDetector: a walk goes on behind what was granted", () => {
  const sequences = new SequenceDetector(8);
  sequences.miss(0, Miss.Read);
  assertEquals(sequences.miss(1, Miss.Read), 2);
  sequences.granted(1, 2, 1);
  assertEquals(sequences.miss(3, Miss.Read), 1);
  assertEquals(sequences.miss(2, Miss.Read), 4);
});

Deno.test("SequenceDetector: sixteen walks are followed at the same time, the least recent is forgotten", () => {
  const sequences = new SequenceDetector(8);
  for (let walk = 0; walk <= 16; walk++) sequences.miss(walk * 1000, Miss.Read);
  assertEquals(sequences.miss(1, Miss.Read), 1);
  assertEquals(sequences.miss(16_001, Miss.Read), 2);
});

Deno.test("SequenceDetector: a longest run of one page turns detection off", () => {
  const sequences = new SequenceDetector(1);
  assertEquals([0, 1, 2, 3].map((page) => sequences.miss(page, Miss.Read)), [1, 1, 1, 1]);
});

/** Misses at 0 and 1, which ask for pages 0 to 2. */
function begin(aheadMinPages: number): SequenceDetector {
  const sequences = new SequenceDetector(8, aheadMinPages);
  for (const page of [0, 1]) sequences.asked(page, sequences.miss(page, Miss.Read));
  return sequences;
}

Deno.test("SequenceDetector: a walk with runs that are long enough is to have one more run, of twice the length", () => {
  assertEquals(begin(2).ahead(), { first: 3, count: 4, miss: Miss.Read });
  assertEquals(begin(4).ahead(), undefined);
  assertEquals(begin(Infinity).ahead(), undefined);
  assertEquals(new SequenceDetector(8, 1).ahead(), undefined);
});

Deno.test("SequenceDetector: there is one run ahead of a walk at a time, until the walk enters it", () => {
  const sequences = begin(2);
  sequences.ahead();
  sequences.asked(3, 4);
  assertEquals(sequences.ahead(), undefined);
  assert(!sequences.enters(4));
  assert(sequences.enters(3));
  assert(!sequences.enters(3));
  assertEquals(sequences.ahead(), { first: 7, count: 8, miss: Miss.Read });
});

Deno.test("SequenceDetector: a run ahead that was granted in part ends where the grant does", () => {
  const sequences = begin(2);
  sequences.ahead();
  sequences.asked(3, 4);
  sequences.granted(3, 4, 2);
  assert(sequences.enters(3));
  assertEquals(sequences.ahead(), { first: 5, count: 8, miss: Miss.Read });
});

Deno.test("SequenceDetector: a walk that entered a run of which a part was granted misses there", () => {
  const sequences = begin(2);
  sequences.ahead();
  sequences.asked(3, 4);
  sequences.enters(3);
  sequences.granted(3, 4, 2);
  assertEquals(sequences.ahead(), { first: 5, count: 8, miss: Miss.Read });
  assertEquals(sequences.miss(5, Miss.Read), 8);
});

Deno.test("SequenceDetector: a walk goes on behind what was asked for, where that was less", () => {
  const sequences = new SequenceDetector(8);
  sequences.miss(0, Miss.Read);
  assertEquals(sequences.miss(1, Miss.Read), 2);
  sequences.asked(1, 1);
  assertEquals(sequences.miss(2, Miss.Read), 4);
});

/** Lets a walk miss at pages from one on that a detector asks for, up to a page. */
function walk(
  detector: SequenceDetector,
  first: number,
  end: number,
  kind: Miss = Miss.Read,
): number[] {
  const counts: number[] = [];
  for (let page = first; page < end; page += counts.at(-1)!) {
    const count = detector.miss(page, kind);
    detector.asked(page, count);
    counts.push(count);
  }
  return counts;
}

Deno.test("SequenceDetector: a miss behind a walk of others is a walk of its own", () => {
  const detector = new SequenceDetector(64);
  assertEquals(walk(detector, 0, 3), [1, 2]);
  assertEquals(detector.miss(3, Miss.Write), 1);
  assertEquals(detector.miss(3, Miss.Upgrade), 1);
  assertEquals(detector.miss(3, Miss.Read), 4);
});

Deno.test("SequenceDetector: a walk asks at once for as much as one from there went through", () => {
  const detector = new SequenceDetector(64);
  assertEquals(walk(detector, 0, 2), [1, 2]);
  assertEquals(walk(detector, 0, 2), [2]);
  assertEquals(walk(detector, 10, 14), [1, 2, 4]);
  assertEquals(walk(detector, 10, 14), [4]);
  // For a miss of another kind, and from another page, it is not known.
  assertEquals(walk(detector, 10, 12, Miss.Write), [1, 2]);
  assertEquals(detector.miss(11, Miss.Write), 1);
});

Deno.test("SequenceDetector: a walk that goes on behind what is known begins there, and is known as far", () => {
  const detector = new SequenceDetector(64);
  assertEquals(walk(detector, 0, 4), [1, 2, 4]);
  assertEquals(walk(detector, 0, 8), [4, 1, 2, 4]);
  assertEquals(walk(detector, 0, 8), [8]);
  assertEquals(walk(detector, 0, 30), [8, 1, 2, 4, 8, 16]);
  // That much and no more is asked for at first.
  assertEquals(walk(detector, 0, 30), [16, 32]);
});

Deno.test("SequenceDetector: what walks went through is found out anew after eight that did not go on", () => {
  const detector = new SequenceDetector(64);
  assertEquals(walk(detector, 0, 2), [1, 2]);
  const lengths = Array.from({ length: 10 }, () => detector.miss(0, Miss.Read));
  assertEquals(lengths, [2, 2, 2, 2, 2, 2, 2, 2, 1, 1]);
});

Deno.test("SequenceDetector: what is known of walks makes no run longer than any may be", () => {
  const detector = new SequenceDetector(4);
  assertEquals(walk(detector, 0, 8), [1, 2, 4, 4]);
  assertEquals(walk(detector, 0, 8), [4, 1, 2, 4]);
});

Deno.test("SequenceDetector: the places of which walks are known are bounded, the oldest is forgotten", () => {
  const detector = new SequenceDetector(8);
  for (let place = 0; place <= 1024; place++) walk(detector, 100 * place, 100 * place + 2);
  assertEquals(walk(detector, 100, 102), [2]);
  assertEquals(walk(detector, 0, 2), [1, 2]);
});

Deno.test("SequenceDetector: a run that was taken before the walk came out of it is a quarter as long there", () => {
  const detector = new SequenceDetector(64);
  assertEquals(walk(detector, 0, 40), [1, 2, 4, 8, 16, 32]);
  assertEquals(walk(detector, 0, 40), [16, 32]);
  detector.taken(45, 1);
  // Once is once, whatever else of the run is taken.
  detector.taken(46, 1);
  assertEquals(walk(detector, 0, 40), [16, 8, 16]);
  detector.taken(39, 1);
  assertEquals(walk(detector, 200, 231), [1, 2, 4, 8, 16]);
});

Deno.test("SequenceDetector: a run is twice as long where a walk came out of it, until all is as before", () => {
  const detector = new SequenceDetector(64);
  walk(detector, 0, 40);
  walk(detector, 0, 40);
  detector.taken(45, 1);
  assertEquals(walk(detector, 0, 64), [16, 8, 16, 32]);
  assertEquals(walk(detector, 0, 64), [16, 16, 32]);
  assertEquals(walk(detector, 0, 64), [16, 32, 64]);
});

Deno.test("SequenceDetector: what was learned is not too long for being taken", () => {
  const detector = new SequenceDetector(64);
  walk(detector, 0, 2);
  for (let step = 0; step < 3; step++) {
    assertEquals(detector.miss(0, Miss.Read), 2);
    detector.taken(0, 2);
  }
});

Deno.test("SequenceDetector: what was asked for ahead in vain is asked for no more, where runs are short by then", () => {
  const detector = new SequenceDetector(16, 2);
  const ahead = (): (number | undefined)[] => {
    const counts: (number | undefined)[] = [];
    for (const page of [0, 1]) {
      detector.asked(page, detector.miss(page, Miss.Read));
      const run = detector.ahead();
      if (run !== undefined) detector.asked(run.first, run.count);
      counts.push(run?.count);
    }
    return counts;
  };
  for (const count of [4, undefined]) {
    assertEquals(ahead(), [undefined, count]);
    detector.taken(3, 4);
  }
});

Deno.test("SequenceDetector: the places where walks end are bounded, the oldest is forgotten", () => {
  const detector = new SequenceDetector(8);
  for (let place = 0; place <= 1024; place++) {
    assertEquals(walk(detector, 100 * place, 100 * place + 2), [1, 2]);
    detector.taken(100 * place + 1, 1);
  }
  assertEquals(walk(detector, 100, 102, Miss.Write), [1, 1]);
  assertEquals(walk(detector, 0, 2, Miss.Write), [1, 2]);
});

Deno.test("SequenceDetector: a walk is forgotten when what was asked for ahead of it is taken before it gets there", () => {
  const detector = new SequenceDetector(64, 2);
  assertEquals(detector.miss(10, Miss.Read), 1);
  detector.asked(10, 1);
  assertEquals(detector.miss(11, Miss.Read), 2);
  detector.asked(11, 2);
  assertEquals(detector.ahead(), { first: 13, count: 4, miss: Miss.Read });
  detector.asked(13, 4);
  // What lies before and behind is no part of it.
  detector.taken(12, 1);
  detector.taken(17, 8);
  assertEquals(detector.enters(13), true);
  assertEquals(detector.ahead(), { first: 17, count: 8, miss: Miss.Read });
  detector.asked(17, 8);
  detector.taken(20, 1);
  assertEquals(detector.enters(17), false);
  assertEquals(detector.miss(17, Miss.Read), 1);
});

/** Misses here and there, in turn; returns what is to be requested ahead behind each. */
function inTurn(detector: SequenceDetector, misses: [page: number, kind: Miss][]) {
  return misses.map(([page, kind]) => {
    detector.asked(page, detector.miss(page, kind));
    return detector.follower();
  });
}

const READ_AND_UPGRADE: [page: number, kind: Miss][] = [[10, Miss.Read], [50, Miss.Upgrade]];

/** A detector that has seen upgrades at page 50 follow a read at 10 twice. */
function followed(): SequenceDetector {
  const detector = new SequenceDetector(8, 8);
  for (let turn = 0; turn < 2; turn++) {
    assertEquals(inTurn(detector, READ_AND_UPGRADE), [undefined, undefined]);
  }
  assertEquals(inTurn(detector, [[10, Miss.Read]]), [{ first: 50, count: 1, isSeen: true }]);
  return detector;
}

Deno.test("SequenceDetector: upgrades that followed a walk twice in a row are asked for where it begins", () => {
  const detector = followed();
  detector.askedFollower({ first: 50, count: 1, isSeen: true });
  assert(detector.enters(50));
  // The walk of upgrades goes on from there, and next time all of it is asked for.
  assertEquals(detector.miss(51, Miss.Upgrade), 2);
  assertEquals(inTurn(detector, [[10, Miss.Read]]), [{ first: 50, count: 2, isSeen: false }]);
  detector.askedFollower({ first: 50, count: 2, isSeen: true });
  assert(detector.enters(50));
  assertEquals(detector.follower(), undefined);
});

/** Asks for the upgrades behind the read at 10; returns whether a fault is to show their use. */
function askBehind(detector: SequenceDetector): boolean {
  const followers = inTurn(detector, [[10, Miss.Read]])[0]!;
  detector.askedFollower(followers);
  return followers.isSeen;
}

Deno.test("SequenceDetector: the more upgrades ahead were of use, the fewer of them are to be seen", () => {
  const detector = followed();
  detector.askedFollower({ first: 50, count: 1, isSeen: true });
  const unseen = [1, 3, 7, 15, 15].map((most) => {
    assert(detector.enters(50));
    for (let count = 0;; count++) {
      if (askBehind(detector)) return [most, count];
    }
  });
  assertEquals(unseen, [1, 3, 7, 15, 15].map((most) => [most, most]));
});

Deno.test("SequenceDetector: upgrades ahead that were not to be seen, and in vain, are doubted as any", () => {
  const detector = followed();
  detector.askedFollower({ first: 50, count: 1, isSeen: true });
  assert(detector.enters(50));
  assert(!askBehind(detector));
  // Another node has read the page meanwhile.
  assertEquals(inTurn(detector, [[50, Miss.Upgrade]]), [undefined]);
  for (let turn = 0; turn < 7; turn++) {
    assertEquals(inTurn(detector, READ_AND_UPGRADE), [undefined, undefined], `turn ${turn}`);
  }
  assert(askBehind(detector));
});

Deno.test("SequenceDetector: a walk that goes on behind upgrades that were not to be seen goes farther the next time", () => {
  const detector = followed();
  detector.askedFollower({ first: 50, count: 1, isSeen: true });
  assert(detector.enters(50));
  assert(!askBehind(detector));
  assertEquals(detector.miss(51, Miss.Upgrade), 2);
  assertEquals(inTurn(detector, [[10, Miss.Read]]), [{ first: 50, count: 2, isSeen: true }]);
});

Deno.test("SequenceDetector: what is behind upgrades that are not to be seen is asked for with them", () => {
  const detector = new SequenceDetector(8, 8);
  const misses: [page: number, kind: Miss][] = [...READ_AND_UPGRADE, [70, Miss.Upgrade]];
  for (let turn = 0; turn < 2; turn++) inTurn(detector, misses);
  assert(askBehind(detector));
  assert(detector.enters(50));
  assertEquals(detector.follower(), { first: 70, count: 1, isSeen: true });
  detector.askedFollower({ first: 70, count: 1, isSeen: true });
  assert(detector.enters(70));
  assert(!askBehind(detector));
  assertEquals(detector.follower(), { first: 70, count: 1, isSeen: false });
});

Deno.test("SequenceDetector: what is learned the same again is used twice as long, up to a bound", () => {
  const detector = new SequenceDetector(8);
  const uses = Array.from({ length: 6 }, () => {
    for (let count = 0;; count++) {
      const pages = detector.miss(10, Miss.Read);
      detector.asked(10, pages);
      if (pages > 1) continue;
      assertEquals(detector.miss(11, Miss.Read), 2);
      detector.asked(11, 2);
      return count;
    }
  });
  assertEquals(uses, [0, 8, 16, 32, 64, 64]);
});

Deno.test("SequenceDetector: neither reads that follow a walk are asked for ahead nor writes of what is not here", () => {
  for (const kind of [Miss.Read, Miss.Write]) {
    const detector = new SequenceDetector(8, 8);
    for (let turn = 0; turn < 4; turn++) {
      assertEquals(inTurn(detector, [[10, Miss.Read], [50, kind]]), [undefined, undefined]);
    }
  }
});

Deno.test("SequenceDetector: what follows a walk no more is asked for no more", () => {
  for (const other of [[90, Miss.Read], [90, Miss.Upgrade]] as [number, Miss][]) {
    const detector = followed();
    const [, ahead] = inTurn(detector, [other, [10, Miss.Read]]);
    assertEquals(ahead, undefined);
  }
});

Deno.test("SequenceDetector: upgrades asked for in vain have to follow more often before they are again", () => {
  const losses: ((detector: SequenceDetector) => void)[] = [
    // Another node writes the page, or reads it, before the program comes there.
    (detector) => detector.taken(50, 1),
    () => {},
  ];
  for (const lose of losses) {
    const detector = followed();
    detector.askedFollower({ first: 50, count: 1, isSeen: true });
    lose(detector);
    assertEquals(inTurn(detector, [[50, Miss.Upgrade]]), [undefined]);
    for (let turn = 0; turn < 7; turn++) {
      assertEquals(inTurn(detector, READ_AND_UPGRADE), [undefined, undefined], `turn ${turn}`);
    }
    assertEquals(inTurn(detector, [[10, Miss.Read]]), [{ first: 50, count: 1, isSeen: true }]);
  }
});

Deno.test("SequenceDetector: what follows is not asked for without the setting", () => {
  const detector = new SequenceDetector(8);
  for (let turn = 0; turn < 4; turn++) {
    assertEquals(inTurn(detector, READ_AND_UPGRADE), [undefined, undefined]);
  }
});

/** Reads pages 0 to 62, in runs of 1 to 32, and comes to page 63. */
function walkFar(): SequenceDetector {
  const detector = new SequenceDetector(64);
  assertEquals(walk(detector, 0, 63), [1, 2, 4, 8, 16, 32]);
  return detector;
}

Deno.test("SequenceDetector: a walk in long runs goes on behind pages that are here", () => {
  const asked: PageRun[] = [];
  const detector = walkFar();
  const isHere = (run: PageRun) => asked.push(run) > 0;
  assertEquals(detector.miss(100, Miss.Read, isHere), 64);
  assertEquals(asked, [{ first: 63, count: 37 }]);
  assertEquals(detector.miss(164, Miss.Read, () => false), 64);
});

Deno.test("SequenceDetector: a walk begins anew where not all pages in between are here, or these are many, or it has short runs", () => {
  assertEquals(walkFar().miss(100, Miss.Read, () => false), 1);
  assertEquals(walkFar().miss(63 + 16_384, Miss.Read, () => true), 64);
  assertEquals(walkFar().miss(63 + 16_385, Miss.Read, () => true), 1);
  assertEquals(walkFar().miss(100, Miss.Write, () => true), 1);
  const detector = new SequenceDetector(64);
  walk(detector, 0, 15);
  assertEquals(detector.miss(100, Miss.Read, () => true), 1);
});

Deno.test("SequenceDetector: a walk that begins where it is known how far walks go does not go on from another", () => {
  const detector = new SequenceDetector(64);
  walk(detector, 100, 103);
  walk(detector, 0, 63);
  assertEquals(detector.miss(100, Miss.Read, () => true), 2);
});
