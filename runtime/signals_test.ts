import { assertEquals } from "@std/assert";
import { SIGNAL_ECHO_MS } from "./limits.ts";
import { SignalEcho } from "./signals.ts";

Deno.test("SignalEcho: the same signal at once is the first once more, another or a later one is the second", () => {
  const cases = [
    ["SIGINT", 0, true],
    ["SIGINT", SIGNAL_ECHO_MS - 1, true],
    ["SIGINT", SIGNAL_ECHO_MS, false],
    ["SIGTERM", 1, false],
  ] as const;
  for (const [second, later, repeats] of cases) {
    const echo = new SignalEcho();
    assertEquals(echo.repeats("SIGINT", 1000), false);
    assertEquals(echo.repeats(second, 1000 + later), repeats, `${second} ${later} ms later`);
  }
});
