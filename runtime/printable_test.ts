import { assertEquals } from "@std/assert";
import { printable } from "./printable.ts";

Deno.test("printable: nothing that acts on a terminal, and nothing that reorders text, is left", () => {
  const text = "a\x1b]0;t\x07b\r\nc\td\x9be \u202egnp.exe\u202c \u2066\u2069f";
  assertEquals(printable(text), "a ]0;t b c d e  gnp.exe   f");
  assertEquals(printable(text, true), "a ]0;t b \nc\td e  gnp.exe   f");
});

Deno.test("printable: letters of any script, and their marks of direction, stay", () => {
  const text = "schön, שלום\u200f, سلام, 🙂\u200d";
  assertEquals([printable(text), printable(text, true)], [text, text]);
});
