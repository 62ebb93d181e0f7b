import { assertEquals } from "@std/assert";
import { paintOf, plain } from "./paint.ts";

Deno.test("paintOf colours on terminals alone, and nowhere where NO_COLOR is set", async () => {
  const paints = [true, false].map((is) => paintOf({ isTerminal: () => is }));
  const [terminal, file] = await Promise.all(paints);
  assertEquals(file!("text", "red"), "text");
  assertEquals(terminal!("text", "red"), Deno.noColor ? "text" : "\x1b[31mtext\x1b[39m");
  assertEquals(plain("text", "bold"), "text");
});
