import { assertEquals } from "@std/assert";
import { nearestName } from "./near.ts";

const KNOWN = ["directory", "directory-address", "port", "size", "log-level", "checksums"];

Deno.test("nearestName finds what was meant", () => {
  const meant: [wrong: string, right: string][] = [
    ["directory-adress", "directory-address"],
    ["directoy", "directory"],
    ["directory-addr", "directory-address"],
    ["direct", "directory"],
    ["sise", "size"],
    ["szie", "size"],
    ["ports", "port"],
    ["logLevel", "log-level"],
    ["LOG_LEVEL", "log-level"],
    ["checksum", "checksums"],
  ];
  for (const [wrong, right] of meant) assertEquals(nearestName(wrong, KNOWN), right, wrong);
});

Deno.test("nearestName leaves alone what a program may well call its own", () => {
  const own = ["nodes", "rounds", "workers", "log", "dir", "p", "host", "time", "address-book"];
  for (const name of own) assertEquals(nearestName(name, KNOWN), undefined, name);
});
