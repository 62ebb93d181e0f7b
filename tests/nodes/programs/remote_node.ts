/**
 * A node that does what comes in on stdin, a line at a time: `leave`, or a function to run as JSON.
 * Prints a line about itself when it has joined, then one line for each answer, and nothing else.
 */

import { type Node, run, TdsmError } from "../../../mod.ts";

interface Command {
  readonly call: number;
  /** The text of a function that takes the node and `args`. */
  readonly body: string;
  readonly args: unknown[];
}

function print(line: unknown): void {
  console.log(JSON.stringify(line));
}

async function execute(node: Node, { call, body, args }: Command): Promise<void> {
  try {
    const action = (0, eval)(`(${body})`) as (node: Node, ...args: unknown[]) => unknown;
    print({ call, value: await action(node, ...args) });
  } catch (error) {
    const { name, message } = error as Error;
    print({ call, error: { code: error instanceof TdsmError ? error.code : name, message } });
  }
}

const start = performance.now();
await run(async (node) => {
  const joinMs = performance.now() - start;
  const { id, address, port, size, pageSize, userModeOnly } = node;
  print({ id, address, port, size, pageSize, userModeOnly, joinMs });
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === "leave") return;
      // Not awaited: a function that waits must not keep the next from running.
      void execute(node, JSON.parse(line) as Command);
    }
  }
});
// stdin is still being read, which would keep the process.
Deno.exit(0);
