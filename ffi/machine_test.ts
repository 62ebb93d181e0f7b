import { assertEquals } from "@std/assert";
import { setVariables } from "./machine.ts";

Deno.test("setVariables finds which variables are set, and not to nothing", () => {
  const [there, empty, absent] = ["TDSM_TEST_THERE", "TDSM_TEST_EMPTY", "TDSM_TEST_ABSENT"];
  Deno.env.set(there!, "1");
  Deno.env.set(empty!, "");
  try {
    assertEquals(setVariables([absent!, there!, empty!]), [there]);
    assertEquals(setVariables([]), []);
  } finally {
    Deno.env.delete(there!);
    Deno.env.delete(empty!);
  }
});

Deno.test({
  name: "setVariables knows of none where native code is not permitted, and asks nobody",
  permissions: { ffi: false },
  fn() {
    assertEquals(setVariables(["PATH"]), []);
  },
});
