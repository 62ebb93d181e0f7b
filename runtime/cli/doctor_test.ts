import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Check, formatChecks } from "./doctor.ts";

const CHECKS: readonly Check[] = [
  { name: "system", verdict: "ok", found: "linux" },
  { name: "port", verdict: "warning", found: "in use", remedy: "name another" },
];

Deno.test("formatChecks has titles, a colour for each verdict, and remedies beneath what was found", () => {
  const text = formatChecks(CHECKS, (piece, style) => `<${style}>${piece}</>`);
  assertEquals(
    text,
    `<bold>VERDICT  CHECK   FOUND</>
<green>ok</>       system  linux
<yellow>warning</>  port    in use
                 <bold>→ name another</>

<green>A node can run here</>
`,
  );
  assertEquals(formatChecks(CHECKS), text.replaceAll(/<.*?>/g, ""));
});

Deno.test("formatChecks says when no node can run", () => {
  const failed: Check = { name: "kernel", verdict: "failed", found: "too old", remedy: "newer" };
  const last = formatChecks([...CHECKS, failed], (piece, style) => `<${style}>${piece}</>`)
    .trimEnd().split("\n").at(-1);
  assertEquals(last, "<red>No node can run here</>");
});

Deno.test("formatChecks breaks what does not fit into 80 columns", () => {
  const words = "a text of many words ".repeat(8).trim();
  const long: Check = { name: "native modules", verdict: "warning", found: words, remedy: words };
  const lines = formatChecks([...CHECKS, long]).split("\n");
  assertEquals(lines.filter((line) => line.length > 80), []);
  const shown = lines.map((line) => line.slice(25)).join(" ");
  assertStringIncludes(shown, `${words} → ${words}`);
});
