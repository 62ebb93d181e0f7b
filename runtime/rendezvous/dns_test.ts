import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { resolveSettings } from "../settings/settings.ts";
import { DnsRendezvous, placeByName } from "./dns.ts";
import type { Finding, Hosting } from "./rendezvous.ts";

function find(hostname: string, port: number, waitMs = 0): Promise<Finding> {
  const { settings } = resolveSettings({ joinTimeoutMs: waitMs }, undefined, () => "");
  const giveUpAtMs = performance.now() + waitMs;
  return new DnsRendezvous({ hostname, port }).find({ settings, giveUpAtMs });
}

Deno.test("DnsRendezvous: a node whose machine has the name hosts, unless somebody listens", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const taken = await find("127.0.0.1", port);
  assertEquals(taken, {
    kind: "join",
    place: undefined,
    directories: [{ hostname: "127.0.0.1", port }],
  });
  listener.close();
  const host = await find("127.0.0.1", port) as Hosting;
  assertEquals([host.kind, host.address, host.ports], ["host", "127.0.0.1", [port]]);
});

Deno.test("DnsRendezvous: a node elsewhere joins by the name", async () => {
  // An address for documentation, which no machine has.
  const found = await find("192.0.2.1", 9634);
  assertEquals(found.kind, "join");
});

Deno.test("DnsRendezvous: a name that nobody knows is waited for, for so long", async () => {
  const error = await assertRejects(() => find("no-such-name.invalid", 9634, 50), TdsmError);
  assertEquals(error.code, "NoDirectory");
  const message = "Cannot join at no-such-name.invalid:9634: within 50 ms nobody knows that name (";
  assertStringIncludes(error.message, message);
});

Deno.test("DnsRendezvous: a machine that has the name for itself alone does not host by it", async () => {
  // The number is 127.0.0.1 to the resolver, as the machine's own name is in many an /etc/hosts.
  const error = await assertRejects(() => find("2130706433", 0), TdsmError);
  assertEquals(error.code, "InvalidOption");
  assertStringIncludes(
    error.message,
    "on this machine it is 127.0.0.1, where no other one reaches",
  );
});

Deno.test("placeByName: pods that are numbered have the number as their rank", () => {
  const directory = "program-0.program.default.svc";
  assertEquals(placeByName("program-0", directory, 4), { rank: 0, nodeCount: 4 });
  assertEquals(placeByName("program-3.program", directory, 4), { rank: 3, nodeCount: 4 });
  const none = [
    "program-4",
    "program",
    "program-x",
    "program-01",
    "program-",
    "other-1",
    "program-1-2",
  ];
  for (const host of none) assertEquals(placeByName(host, directory, 4), undefined, host);
  assertEquals(placeByName("n1", "n1", 4), undefined);
});
