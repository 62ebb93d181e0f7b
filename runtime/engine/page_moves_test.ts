import { assertEquals } from "@std/assert";
import { movesByName, PageMoves } from "./page_moves.ts";

Deno.test("PageMoves sums any run, whole chunks and parts of them", () => {
  const moves = new PageMoves();
  const expected = new Map<number, number>();
  const move = (first: number, count: number) => {
    moves.moved({ first, count }, 2);
    for (let page = first; page < first + count; page++) {
      expected.set(page, (expected.get(page) ?? 0) + 1);
    }
  };
  move(0, 1);
  move(100, 128);
  move(127, 2);
  move(1000, 64);
  move(2 ** 28 - 3, 3);
  for (const [first, count] of [[0, 1], [0, 128], [1, 126], [127, 2], [90, 1000], [128, 128]]) {
    let sum = 0;
    for (let page = first!; page < first! + count!; page++) sum += expected.get(page) ?? 0;
    assertEquals(moves.sum({ first: first!, count: count! }), sum, `${first}+${count}`);
  }
  assertEquals(moves.sum({ first: 0, count: 2 ** 28 }), 198);
  assertEquals(moves.total, 198);
});

Deno.test("PageMoves counts pages beyond its limit only in the total", () => {
  const moves = new PageMoves(2);
  for (const first of [0, 5000, 9000, 9000, 0]) moves.moved({ first, count: 1 }, 0);
  assertEquals(moves.sum({ first: 0, count: 10_000 }), 3);
  assertEquals(moves.total, 5);
});

Deno.test("PageMoves knows from where bytes came, until the node is gone", () => {
  const moves = new PageMoves();
  moves.moved({ first: 0, count: 3 }, 2);
  moves.moved({ first: 1, count: 1 }, 5);
  moves.moved({ first: 1, count: 4 }, 2);
  // Only the right to write has come: no bytes crossed a link.
  moves.moved({ first: 1, count: 1 }, 0);
  assertEquals(moves.sources, [{ node: 2, pages: 7 }, { node: 5, pages: 1 }]);
  moves.forget(2);
  assertEquals(moves.sources, [{ node: 5, pages: 1 }]);
});

Deno.test("movesByName lists what moves most first, and counts shared pages once in the rest", () => {
  const moves = new PageMoves();
  moves.moved({ first: 0, count: 1 }, 2);
  for (let round = 0; round < 5; round++) moves.moved({ first: 10, count: 1 }, 2);
  moves.moved({ first: 11, count: 2 }, 2);
  const named = [
    { name: "quiet", first: 50, count: 9 },
    { name: "one", first: 9, count: 2 },
    { name: "other", first: 10, count: 3 },
  ];
  assertEquals(movesByName(moves, named), [
    { name: "other", pagesMoved: 7 },
    { name: "one", pagesMoved: 5 },
    { name: "quiet", pagesMoved: 0 },
    { name: null, pagesMoved: 1 },
  ]);
});
