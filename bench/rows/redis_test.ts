/** Redis is asked where there is one, and left out where there is none. */

import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { Context } from "../family.ts";
import { redisRounds, type RedisRow, redisRow } from "./redis.ts";

const KINDS: readonly RedisRow[] = [
  { command: "SET", how: "asleep" },
  { command: "GET", how: "asleep" },
  { command: "GET", how: "polling" },
];
const IDS = KINDS.map((kind) => redisRow(kind).id);

/** Has programs of one folder alone be on PATH, as long as `body` runs. */
async function withPath(folder: string, body: () => Promise<void>): Promise<void> {
  const before = Deno.env.get("PATH")!;
  Deno.env.set("PATH", folder);
  try {
    await body();
  } finally {
    Deno.env.set("PATH", before);
  }
}

Deno.test("GET and SET are timed where there is a redis-server, which ends with them", async () => {
  const folder = await Deno.makeTempDir();
  const fake = fileURLToPath(new URL("fake_redis.ts", import.meta.url));
  const script = `#!/bin/sh\nexec '${Deno.execPath()}' run --no-prompt -A '${fake}' "$@"\n`;
  await Deno.writeTextFile(`${folder}/redis-server`, script, { mode: 0o755 });
  try {
    await withPath(folder, async () => {
      await using context = new Context(true);
      await using stack = new AsyncDisposableStack();
      const { take, skipped } = await redisRounds(context, stack, KINDS);
      assertEquals([Object.keys(take).sort(), skipped], [IDS.toSorted(), undefined]);
      for (const id of IDS) {
        const us = await take[id]!();
        assert(us.length > 0 && us.every((time) => time > 0), id);
      }
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("without a redis-server on PATH its rows are skipped", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await withPath(folder, async () => {
      await using context = new Context(true);
      await using stack = new AsyncDisposableStack();
      const { take, skipped } = await redisRounds(context, stack, KINDS);
      assertEquals([Object.keys(take), Object.keys(skipped!)], [[], IDS]);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
