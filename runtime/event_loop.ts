/**
 * What goes on in this thread's event loop. The engine's thread sleeps in the library, from within
 * a turn of the event loop. An operation that was just begun may not have been looked at by then,
 * and would not end the sleep; so operations are noted where they begin and where they end, and
 * the engine gives the event loop some turns before it sleeps.
 */

let steps = 0;
let awaitedElsewhere = 0;

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

/**
 * Notes an operation that another thread of Deno's carries out, as those of WebCrypto, and where
 * host names are looked up. Its end wakes no epoll while this thread sleeps within a turn, so as
 * long as there is any the engine looks for that now and then.
 *
 * @param operation The operation, which has just begun.
 * @returns What the operation resolves to.
 * @throws What the operation rejects with.
 */
export async function elsewhere<Result>(operation: Promise<Result>): Promise<Result> {
  awaitedElsewhere++;
  try {
    return await noted(operation);
  } finally {
    awaitedElsewhere--;
  }
}

/** Whether any operation is under way of which {@linkcode elsewhere} has taken note. */
export function awaitsElsewhere(): boolean {
  return awaitedElsewhere > 0;
}
