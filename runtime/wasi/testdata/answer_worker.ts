/** A thread that waits for an answer, then sleeps: it tells the answer, and how long it slept. */

import { AnswerCell } from "../answer_cell.ts";

const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<{ buffer: SharedArrayBuffer; sleepMs: number }>) => void) | null;
  postMessage(message: number): void;
};

scope.onmessage = ({ data: { buffer, sleepMs } }) => {
  const cell = new AnswerCell(buffer);
  scope.postMessage(cell.take());
  const begun = performance.now();
  cell.sleep(sleepMs);
  scope.postMessage(performance.now() - begun);
};
