import { assertEquals } from "@std/assert";
import { LAUNCH_WORD_MAX_BYTES } from "../limits.ts";
import { MarkedOutput } from "./marked_output.ts";

/** Passes on a text in pieces of so many bytes; returns what comes out, and the words. */
async function pass(text: string, pieceBytes: number): Promise<[text: string, words: string[]]> {
  const words: string[] = [];
  const bytes = new TextEncoder().encode(text);
  const pieces = ReadableStream.from((function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
  })());
  const marked = pieces.pipeThrough(new MarkedOutput("secret", (word) => words.push(word)));
  return [await new Response(marked).text(), words];
}

Deno.test("MarkedOutput: words are taken out, wherever they are, and nothing else changes", async () => {
  const text =
    "one\x1esecret started 7 7\ntwo\n\x1esecret 1 80\n\x1esecre \x1e\x1esecret ended 0\nä";
  for (const pieceBytes of [1, 2, 3, 7, 100]) {
    assertEquals(await pass(text, pieceBytes), [
      "onetwo\n\x1esecre \x1eä",
      ["started 7 7", "1 80", "ended 0"],
    ]);
  }
});

Deno.test("MarkedOutput: what never ends is no word, and is not kept for ever", async () => {
  const endless = `\x1esecret ${"x".repeat(3 * LAUNCH_WORD_MAX_BYTES)}`;
  const [text, words] = await pass(endless, 64);
  assertEquals([words, text.length < endless.length], [[], true]);
  assertEquals(await pass("a\x1esecret", 3), ["a\x1esecret", []]);
});
