import { assertEquals } from "@std/assert";
import { SequenceDetector } from "./sequence_detector.ts";

Deno.test("a walk asks for twice as much at each miss, up to the most", () => {
  const sequences = new SequenceDetector(8);
  let page = 100;
  const lengths: number[] = [];
  for (let miss = 0; miss < 6; miss++) {
    const length = sequences.miss(page);
    lengths.push(length);
    page += length;
  }
  assertEquals(lengths, [1, 2, 4, 8, 8, 8]);
});

Deno.test("misses here and there ask for one page each", () => {
  const sequences = new SequenceDetector(8);
  assertEquals([5, 90, 7, 3, 200].map((page) => sequences.miss(page)), [1, 1, 1, 1, 1]);
});

Deno.test("a walk goes on behind what was granted", () => {
  const sequences = new SequenceDetector(8);
  sequences.miss(0);
  assertEquals(sequences.miss(1), 2);
  sequences.granted(1, 2, 1);
  assertEquals(sequences.miss(3), 1);
  assertEquals(sequences.miss(2), 4);
});

Deno.test("sixteen walks are followed at the same time, the least recent is forgotten", () => {
  const sequences = new SequenceDetector(8);
  for (let walk = 0; walk <= 16; walk++) sequences.miss(walk * 1000);
  assertEquals(sequences.miss(1), 1);
  assertEquals(sequences.miss(16_001), 2);
});

Deno.test("a longest run of one page turns detection off", () => {
  const sequences = new SequenceDetector(1);
  assertEquals([0, 1, 2, 3].map((page) => sequences.miss(page)), [1, 1, 1, 1]);
});
