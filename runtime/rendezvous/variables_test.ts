import { assertEquals, assertThrows } from "@std/assert";
import { withVariables } from "../../tests/support/variables.ts";
import { TdsmError } from "../errors.ts";
import { placeSeen } from "./variables.ts";

function place(rank: string, size: string) {
  using _variables = withVariables({ OMPI_COMM_WORLD_RANK: rank, OMPI_COMM_WORLD_SIZE: size });
  return placeSeen();
}

Deno.test("placeSeen: a rank, of at most as many as a cluster has nodes", () => {
  assertEquals(place("1023", "1024"), { rank: 1023, nodeCount: 1024 });
  const cases = [
    ["0", "1025", "OMPI_COMM_WORLD_SIZE is 1025, and a cluster has at most 1024 nodes"],
    ["0", "4000000000", "OMPI_COMM_WORLD_SIZE is 4000000000, and a cluster has at most 1024 nodes"],
    [
      "0",
      "9007199254740991",
      "OMPI_COMM_WORLD_SIZE is 9007199254740991, and a cluster has at most 1024 nodes",
    ],
    ["1024", "1024", "OMPI_COMM_WORLD_RANK is 1024, of 1024 as OMPI_COMM_WORLD_SIZE says"],
  ] as const;
  for (const [rank, size, why] of cases) {
    const error = assertThrows(() => place(rank, size), TdsmError);
    assertEquals(error.code, "InvalidOption");
    assertEquals(error.message, `Cannot find the directory by Open MPI: ${why}`);
  }
});
