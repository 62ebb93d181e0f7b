import { assertEquals, assertThrows } from "@std/assert";
import { DASHBOARD_PORT_DEFAULT } from "../limits.ts";
import { takeDashboardFlag } from "./dashboard_flag.ts";

Deno.test("takeDashboardFlag: the value may be left out, a port, or an address", () => {
  const local = (port: number) => ({ hostname: "127.0.0.1", port });
  const cases: [args: string[], at: unknown, rest: string[]][] = [
    [["--port", "1"], undefined, ["--port", "1"]],
    [["--dashboard"], local(DASHBOARD_PORT_DEFAULT), []],
    [["--dashboard", "--port", "1"], local(DASHBOARD_PORT_DEFAULT), ["--port", "1"]],
    [["--size=1GiB", "--dashboard", "8080", "--port", "1"], local(8080), [
      "--size=1GiB",
      "--port",
      "1",
    ]],
    [["--dashboard=0"], local(0), []],
    [["--dashboard", "0.0.0.0:0"], { hostname: "0.0.0.0", port: 0 }, []],
    [["--dashboard=[::1]:80"], { hostname: "::1", port: 80 }, []],
    [["--dashboard=box"], { hostname: "box", port: DASHBOARD_PORT_DEFAULT }, []],
  ];
  for (const [args, at, rest] of cases) {
    assertEquals(takeDashboardFlag(args), { at, rest } as never);
  }
});

Deno.test("takeDashboardFlag: another value is refused by one line that says what may stand there", () => {
  for (const value of ["65536", "a b", "box:99999", ":80"]) {
    assertThrows(
      () => takeDashboardFlag(["--dashboard", value]),
      Error,
      `Cannot use flag --dashboard with "${value}": write --dashboard PORT or`,
    );
  }
});
