/** A progress bar on the terminal. */

const WIDTH = 40;
const INTERVAL_MS = 100;

/**
 * Shows how far something is, as long as stderr is a terminal.
 *
 * @param what What goes on.
 * @param done Says how much of it is done, from 0 to 1.
 * @returns Dispose of it to end.
 */
export function showProgress(what: string, done: () => number): Disposable {
  if (!Deno.stderr.isTerminal()) return { [Symbol.dispose]() {} };
  const encoder = new TextEncoder();
  const show = (): void => {
    const part = Math.min(Math.max(done(), 0), 1);
    const bar = "█".repeat(Math.round(part * WIDTH)).padEnd(WIDTH, "░");
    Deno.stderr.writeSync(encoder.encode(`\r${what} ${bar} ${Math.round(part * 100)} %\x1b[K`));
  };
  const timer = setInterval(show, INTERVAL_MS);
  show();
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      Deno.stderr.writeSync(encoder.encode("\r\x1b[K"));
    },
  };
}
