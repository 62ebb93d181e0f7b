/**
 * What goes on in this thread's event loop. The engine's thread sleeps in the library, from within
 * a turn of the event loop. Whatever ends an operation of Deno's wakes that sleep, unless the event
 * loop took note of it just before, between two turns of the engine; and an operation that was just
 * begun may not have been looked at at all. So operations are noted where they begin and where they
 * end, the engine gives the event loop some turns after both, and sleeps only for moments as long
 * as there is any.
 */

let steps = 0;
let underWay = 0;

/** How often an operation of this thread has begun or ended; another number means that some has. */
export function operationSteps(): number {
  return steps;
}

/** Whether the engine has to look for the end of an operation now and then. */
export function hasOperations(): boolean {
  return underWay > 0;
}

/**
 * Notes an operation of Deno's, such as a read of a connection, from its begin to its end.
 *
 * @param operation The operation, which has just begun.
 * @param lasts Whether it may be under way for ever: then the engine does not look for its end, and
 * something else has to wake the engine.
 * @returns What the operation resolves to.
 * @throws What the operation rejects with.
 */
export async function noted<Result>(operation: Promise<Result>, lasts = false): Promise<Result> {
  const looked = lasts ? 0 : 1;
  steps++;
  underWay += looked;
  try {
    return await operation;
  } finally {
    steps++;
    underWay -= looked;
  }
}
