import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { isOneMachine, parseHosts } from "./host_list.ts";

Deno.test("parseHosts: names, users, counts and IPv6 addresses", () => {
  assertEquals(parseHosts("a, b:2,ann@n-1.example:12,[fe80::1%eth0]:3,10.0.0.3"), [
    { destination: "a", hostname: "a", nodes: 1 },
    { destination: "b", hostname: "b", nodes: 2 },
    { destination: "ann@n-1.example", hostname: "n-1.example", nodes: 12 },
    { destination: "fe80::1%eth0", hostname: "fe80::1%eth0", nodes: 3 },
    { destination: "10.0.0.3", hostname: "10.0.0.3", nodes: 1 },
  ]);
});

Deno.test("parseHosts: what is no list of machines is refused, a flag of ssh among that", () => {
  const wrong = [
    "",
    "a,,b",
    "a:0",
    "a:x",
    "-oProxyCommand=x",
    "a b",
    "a;b",
    "$(x)",
    "@a",
    "a:2:3",
    "..",
    ".",
    "a..b",
    ".a",
  ];
  for (const text of [...wrong, undefined]) {
    const error = assertThrows(() => parseHosts(text), TdsmError);
    assertStringIncludes(error.message, "of --hosts: machines are named as a,b:2");
  }
  const many = assertThrows(() => parseHosts("a:1000,b:25"), TdsmError);
  assertStringIncludes(many.message, "with 1025 nodes: a cluster has at most 1024");
});

Deno.test("parseHosts: a name by which each machine reaches itself is only for one machine", () => {
  const names = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-localhost"];
  const addresses = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "0"];
  const long = ["[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::1%lo]"];
  for (const own of [...names, ...addresses, ...long]) {
    for (const list of [`${own},b`, `b,ann@${own}:2`]) {
      const error = assertThrows(() => parseHosts(list), TdsmError, "", list);
      assertStringIncludes(error.message, "of --hosts beside other machines");
    }
    assertEquals(isOneMachine(parseHosts(`${own}:2,localhost`)), true);
  }
  for (const other of ["localhosts", "10.0.0.127", "n_1", "128.0.0.1", "[fe80::1%lo]", "a."]) {
    assertEquals(isOneMachine(parseHosts(`${other},b`)), false, other);
  }
  const lists = ["b:2,b", "localhost:3", "127.0.0.2,127.0.0.3", "a,b"];
  assertEquals(lists.map((list) => isOneMachine(parseHosts(list))), [true, true, true, false]);
});
