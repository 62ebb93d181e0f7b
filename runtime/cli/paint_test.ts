import { assertEquals } from "@std/assert";
import { paintOf, plain } from "./paint.ts";

Deno.test("paintOf colours on terminals alone, and nowhere where NO_COLOR is set", () => {
  const [terminal, file] = [true, false].map((is) => paintOf({ isTerminal: () => is }));
  assertEquals(file!("text", "red"), "text");
  assertEquals(terminal!("text", "red"), Deno.noColor ? "text" : "\x1b[31mtext\x1b[39m");
  assertEquals(plain("text", "bold"), "text");
});
