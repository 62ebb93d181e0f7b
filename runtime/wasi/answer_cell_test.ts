import { assert, assertEquals } from "@std/assert";
import { AnswerCell } from "./answer_cell.ts";

/**
 * Wakes the thread as soon as it waits, as an answer of before may do too late; or ends when the
 * thread does not wait any more.
 */
async function wakeTooLate({ buffer }: AnswerCell, isOver: () => boolean): Promise<void> {
  const words = new Int32Array(buffer);
  while (!isOver() && Atomics.notify(words, 0) === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
}

Deno.test("AnswerCell: a thread that is woken without an answer goes on waiting, or sleeping", async () => {
  const sleepMs = 100;
  const cell = new AnswerCell();
  const worker = new Worker(import.meta.resolve("./testdata/answer_worker.ts"), { type: "module" });
  const told: number[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  worker.onmessage = ({ data }) => {
    told.push(data);
    if (told.length === 2) resolve();
  };
  try {
    worker.postMessage({ buffer: cell.buffer, sleepMs });
    for (let round = 0; round < 3; round++) await wakeTooLate(cell, () => told.length > 0);
    cell.answer(42);
    await wakeTooLate(cell, () => told.length > 1);
    await ended;
  } finally {
    worker.terminate();
  }
  assertEquals(told[0], 42);
  assert(told[1]! >= sleepMs, `slept for ${told[1]} ms`);
});

Deno.test("AnswerCell: an answer that comes before the thread waits is taken once", () => {
  const cell = new AnswerCell();
  for (const result of [7, -8]) {
    cell.answer(result);
    assertEquals(new AnswerCell(cell.buffer).take(), result);
  }
  const begun = performance.now();
  cell.sleep(20);
  assert(performance.now() - begun >= 20);
});
