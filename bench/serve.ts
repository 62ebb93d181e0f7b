/** What a process of the benchmark does: it sleeps in a read of stdin until a line asks for something. */

/** What a line asks for, as JSON. */
export interface Asked {
  readonly action: string;
  readonly args: unknown;
}

/** What the process answers with, as JSON. */
export interface Answer {
  /** The action's result. */
  readonly value?: unknown;
  /** Why there is none. */
  readonly error?: string;
}

/**
 * Says that this process is ready, then does what it is asked to, one thing at a time, until stdin ends.
 *
 * @param ready What to say of this process.
 * @param act Does an action; what it returns must be JSON.
 * @returns Resolves when stdin has ended.
 */
export async function serve(
  ready: unknown,
  act: (action: string, args: unknown) => unknown,
): Promise<void> {
  const print = (line: unknown): void => console.log(JSON.stringify(line));
  print(ready);
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const { action, args } = JSON.parse(line) as Asked;
      let answer: Answer;
      try {
        answer = { value: await act(action, args) ?? null };
      } catch (error) {
        answer = { error: `${action}: ${error instanceof Error ? error.message : error}` };
      }
      print(answer);
    }
  }
}
