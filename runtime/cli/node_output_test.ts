import { assertEquals } from "@std/assert";
import { LAUNCH_LINE_MAX_BYTES } from "../limits.ts";
import { formatJson } from "../log.ts";
import { NodeOutput, type Paints } from "./node_output.ts";
import { plain } from "./paint.ts";

const PLAIN: Paints = { stdout: plain, stderr: plain };

/** What a test's nodes print goes here. Each write takes few bytes, as a full pipe does. */
class Shown {
  text = "";
  readonly stdout: { write(bytes: Uint8Array): Promise<number>; isTerminal(): boolean };
  readonly stderr: { write(bytes: Uint8Array): Promise<number>; isTerminal(): boolean };
  #decoder = new TextDecoder();

  constructor(terminals: { stdout?: boolean; stderr?: boolean } = {}, most = Infinity) {
    const outlet = (terminal = false) => ({
      write: async (bytes: Uint8Array): Promise<number> => {
        await Promise.resolve();
        const some = bytes.subarray(0, most);
        this.text += this.#decoder.decode(some, { stream: true });
        return some.length;
      },
      isTerminal: () => terminal,
    });
    this.stdout = outlet(terminals.stdout);
    this.stderr = outlet(terminals.stderr);
  }

  output(nodes: number, paint = PLAIN): NodeOutput {
    const broken = (): never => {
      throw new Error("nothing is broken here");
    };
    return new NodeOutput(this, { nodes, paint, broken });
  }
}

/** What a node prints, in the pieces in which it arrives. */
function printed(...pieces: string[]): ReadableStream<Uint8Array> {
  return ReadableStream.from(pieces).pipeThrough(new TextEncoderStream());
}

Deno.test("NodeOutput: every line has its node's number, and the last one an end", async () => {
  const shown = new Shown();
  await shown.output(3).pass(2, printed("one\n\ntw", "o", "\nthree"), "stdout");
  assertEquals(shown.text, "[2] one\n[2] \n[2] two\n[2] three\n");
});

Deno.test("NodeOutput: numbers are aligned", async () => {
  const shown = new Shown();
  const output = shown.output(10);
  await output.pass(9, printed("a\n"), "stdout");
  await output.pass(10, printed("b\n"), "stderr");
  assertEquals(shown.text, "[ 9] a\n[10] b\n");
});

Deno.test("NodeOutput: lines of several nodes are never torn, nor are characters", async () => {
  const shown = new Shown({}, 3);
  const output = shown.output(4);
  const line = "ä€𝄞".repeat(5);
  const bytes = new TextEncoder().encode(`${line}\n`.repeat(10));
  await Promise.all([1, 2, 3, 4].map((node) => {
    const pieces = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    return output.pass(node, ReadableStream.from(pieces), node % 2 === 0 ? "stdout" : "stderr");
  }));
  const lines = shown.text.trimEnd().split("\n");
  for (const node of [1, 2, 3, 4]) {
    assertEquals(lines.filter((found) => found === `[${node}] ${line}`).length, 10);
  }
  assertEquals(lines.length, 40);
});

Deno.test("NodeOutput: a line without end is cut, so that it is not kept for ever", async () => {
  const shown = new Shown();
  const piece = "x".repeat(LAUNCH_LINE_MAX_BYTES / 2);
  await shown.output(1).pass(1, printed(piece, piece, "y", "z\n"), "stdout");
  assertEquals(shown.text, `[1] ${piece}${piece}y\n[1] z\n`);
});

Deno.test("NodeOutput: numbers look as the paint of their outlet says, each node's in its colour", async () => {
  const shown = new Shown();
  const output = shown.output(2, { stdout: (text, style) => `<${style} ${text}>`, stderr: plain });
  await output.pass(1, printed("a\n"), "stdout");
  await output.pass(2, printed("b\n"), "stdout");
  await output.pass(1, printed("c\n"), "stderr");
  assertEquals(shown.text, "<cyan [1]> a\n<magenta [2]> b\n[1] c\n");
});

Deno.test("NodeOutput: progress is one line of a terminal, below what is printed", async () => {
  const shown = new Shown({ stdout: true, stderr: true });
  const output = shown.output(2);
  await output.pass(1, printed("\r10 %", "\r20 %\x1b[K"), "stderr");
  // The end of the stream ends the line too, which is erased first.
  assertEquals(shown.text, "\r\x1b[K[1] 10 %\r\x1b[K[1] 20 %\x1b[K\r\x1b[K[1] 20 %\x1b[K\n");
  shown.text = "";
  await output.pass(1, printed("\r30 %", "\r\x1b[K", "done\n"), "stderr");
  assertEquals(shown.text, "\r\x1b[K[1] 30 %\r\x1b[K[1] done\n");
  shown.text = "";
  await output.pass(1, printed("\r40 %"), "stderr");
  await output.pass(2, printed("line\n"), "stdout");
  assertEquals(shown.text.endsWith("[1] 40 %\n[2] line\n"), true);
});

Deno.test("NodeOutput: a file has only what is left of a line that was written over", async () => {
  const shown = new Shown();
  const output = shown.output(1);
  await output.pass(
    1,
    printed("\r10 %", "\r20 %", "\r\x1b[K", "\nwindows\r\n", "over\rdone\n"),
    "stdout",
  );
  assertEquals(shown.text, "[1] windows\n[1] done\n");
});

Deno.test("NodeOutput: where nobody reads any more, it is told, and nodes are not held up", async () => {
  const outlet = {
    write: () => Promise.reject(new Deno.errors.BrokenPipe("planted")),
    isTerminal: () => false,
  };
  let broken = 0;
  const options = { nodes: 1, paint: PLAIN, broken: () => void broken++ };
  const output = new NodeOutput({ stdout: outlet, stderr: outlet }, options);
  await output.pass(1, printed("a\n", "b\n"), "stdout");
  assertEquals(broken, 2);
});

Deno.test("NodeOutput: an object of the log stays as it is, so that programs can read it", async () => {
  const shown = new Shown();
  const object = formatJson({ level: "info", text: "Left", topic: "sync", fields: { node: 2 } });
  const own = '{"time":1,"level":"info"}';
  await shown.output(3).pass(2, printed(`${object}\n${own}\nplain\n`), "stderr");
  // The output of the program is its own, whatever it looks like.
  await shown.output(3).pass(2, printed(`${object}\n`), "stdout");
  assertEquals(shown.text, `${object}\n[2] ${own}\n[2] plain\n[2] ${object}\n`);
  assertEquals(JSON.parse(shown.text.split("\n")[0]!).node, 2);
});
