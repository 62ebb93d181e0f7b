import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import {
  formatAddress,
  hostOf,
  isLoopback,
  namesThisMachine,
  parseAddress,
  parseHostname,
} from "./address.ts";

Deno.test("parseAddress reads hosts with and without a port", () => {
  assertEquals(parseAddress("10.0.0.1", 9634), { hostname: "10.0.0.1", port: 9634 });
  assertEquals(parseAddress("node-7.example:80", 9634), { hostname: "node-7.example", port: 80 });
  assertEquals(parseAddress("[::1]:7000", 9634), { hostname: "::1", port: 7000 });
  assertEquals(parseAddress("[fe80::1%eth0]", 9634), { hostname: "fe80::1%eth0", port: 9634 });
  assertEquals(parseAddress("::1", 9634), { hostname: "::1", port: 9634 });
});

Deno.test("parseAddress refuses what is no address, naming what is allowed", () => {
  const wrong = [
    "",
    ":80",
    "host:",
    "host:port",
    "host:0",
    "host:65536",
    "a b",
    "[host]:80",
    "[]:80",
  ];
  for (const text of [...wrong, "http://host", "[::1"]) {
    assertThrows(
      () => parseAddress(text, 9634),
      RangeError,
      "must be HOST or HOST:PORT with a port from 1 to 65535",
      text,
    );
  }
});

Deno.test("parseHostname takes no port", () => {
  assertEquals(parseHostname("0.0.0.0"), "0.0.0.0");
  assertEquals(parseHostname("[::]"), "::");
  for (const text of ["host:80", "", "[host]"]) {
    assertThrows(() => parseHostname(text), RangeError, "must be a host name or an IP address");
  }
});

Deno.test("parseAddress reads back what formatAddress wrote", () => {
  for (const hostname of ["localhost", "127.0.0.1", "::1"]) {
    const address = { hostname, port: 9634 };
    assertEquals(parseAddress(formatAddress(address), 1), address);
  }
  assertEquals(formatAddress({ hostname: "::1", port: 9634 }), "[::1]:9634");
});

Deno.test("hostOf reads a host with or without a port, and nothing else", () => {
  assertEquals(hostOf("LocalHost:80"), "localhost");
  assertEquals(hostOf("[::1]:9635"), "[::1]");
  assertEquals(hostOf("10.0.0.1"), "10.0.0.1");
  const others = ["", " ", "a b", "[::1", "x:99999", "x:", "a@localhost", "localhost#.evil", "a/b"];
  for (const text of [null, ...others, "localhost?.evil", "user:pw@localhost", "localhost\n"]) {
    assertEquals(hostOf(text), undefined, String(text));
  }
});

Deno.test("namesThisMachine takes names that no other machine can have", () => {
  for (const host of ["localhost", "127.0.0.1", "[::1]", "127.8.8.8"]) {
    assert(namesThisMachine(host, "127.8.8.8"), host);
  }
  for (const host of ["evil.example", "127.0.0.1.evil.example", "2130706433", "10.0.0.1"]) {
    assertFalse(namesThisMachine(host, "127.8.8.8"), host);
  }
});

Deno.test("isLoopback tells what only this machine reaches", () => {
  for (const own of ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]) assert(isLoopback(own));
  for (const other of ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "1127.0.0.1"]) {
    assertFalse(isLoopback(other), other);
  }
});
