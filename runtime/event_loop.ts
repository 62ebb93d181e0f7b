/**
 * What goes on in this thread's event loop. The engine's thread sleeps in the library, from within
 * a turn of the event loop. An operation that was just begun may not have been looked at by then,
 * and would not end the sleep; so operations are noted where they begin and where they end, and
 * the engine gives the event loop some turns before it sleeps.
 */

let steps = 0;

/** How often an operation of this thread has begun or ended; another number means that some has. */
export function operationSteps(): number {
  return steps;
}

/**
 * Notes an operation of Deno's, such as a read of a connection, from its begin to its end.
 *
 * @param operation The operation, which has just begun.
 * @returns What the operation resolves to.
 * @throws What the operation rejects with.
 */
export async function noted<Result>(operation: Promise<Result>): Promise<Result> {
  steps++;
  try {
    return await operation;
  } finally {
    steps++;
  }
}
