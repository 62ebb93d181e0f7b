/** Bytes that are changed on their way between two live nodes. */

import { assert, assertEquals } from "@std/assert";
import { DAMAGE_KINDS, drawDamage, runDamaged } from "./damage.ts";
import { type DamageKind, DamagingProxy } from "./damaging_proxy.ts";
import { KeyFile } from "../support/key_file.ts";

/** Rounds of each kind; each has its own place and way, by its seed. */
const ROUNDS = 3;
async function tryDamages(kind: DamageKind, ...flags: string[]): Promise<void> {
  let done = 0;
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const damage = drawDamage(seed, [kind]);
    try {
      if ((await runDamaged(damage, ...flags)).done) done++;
    } catch (cause) {
      throw new Error(`${JSON.stringify(damage)}: ${(cause as Error).message}`, { cause });
    }
  }
  assert(done > 0, "no damage was done");
}

for (const kind of DAMAGE_KINDS) {
  Deno.test(`proxy: ${kind}: right values, or an error that names the connection`, async () => {
    await tryDamages(kind);
  });
}

for (const kind of DAMAGE_KINDS) {
  Deno.test(`proxy: ${kind} of what is sealed: right values, or an error that names it`, async () => {
    using key = new KeyFile();
    await tryDamages(kind, key.flag);
  });
}

Deno.test("proxy: a damage behind the last byte changes nothing", async () => {
  const damage = { kind: "flip", way: "back", after: 2 ** 40, amount: 1 } as const;
  assertEquals(await runDamaged(damage), { end: "right values", done: false });
});

/** What arrives of `sent` over a proxy. */
async function passed(sent: Uint8Array, kind: DamageKind, amount: number): Promise<number[]> {
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = target.addr;
  await using proxy = new DamagingProxy({ hostname, port }, {
    kind,
    way: "there",
    after: 2,
    amount,
  });
  const [host, proxyPort] = proxy.at.split(":");
  using near = await Deno.connect({ hostname: host!, port: Number(proxyPort) });
  // Reading to its end closes it.
  const far = await target.accept();
  await near.write(sent);
  await near.closeWrite();
  return [...new Uint8Array(await new Response(far.readable).arrayBuffer())];
}

Deno.test("proxy: each kind of damage changes the bytes as its name says", async () => {
  const sent = Uint8Array.of(1, 2, 3, 4, 5);
  assertEquals(await passed(sent, "flip", 7), [1, 2, 0x83, 4, 5]);
  assertEquals(await passed(sent, "drop", 2), [1, 2, 5]);
  assertEquals(await passed(sent, "repeat", 2), [1, 2, 3, 4, 3, 4, 5]);
  assertEquals(await passed(sent, "cut", 1), [1, 2]);
});
