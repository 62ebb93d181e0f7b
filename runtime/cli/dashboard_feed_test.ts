import { assertEquals } from "@std/assert";
import { SNAPSHOTS_WAITING_MAX } from "../limits.ts";
import { Feed, readRun } from "./dashboard_feed.ts";

Deno.test("readRun: takes pages of the largest region, and nothing else", () => {
  const read = (query: string) => readRun(new URLSearchParams(query), 1000);
  assertEquals(read(""), undefined);
  assertEquals(read("first=0&count=1000"), { first: 0, count: 1000 });
  for (
    const wrong of [
      "first=1",
      "count=1",
      "first=0&count=0",
      "first=1&count=1000",
      "first=-1&count=1",
      "first=1.5&count=1",
      "first=&count=1",
      "first=1e2&count=1",
      "first=99999999999&count=1",
    ]
  ) assertEquals(read(wrong), "wrong", wrong);
});

Deno.test("Feed: so many requests wait at one time, and none looks at a cluster once the feed has ended", async () => {
  const feed = new Feed({ directory: () => undefined });
  const starts = { kind: "none", reason: "The directory node starts" } as const;
  const snapshots = Array.from({ length: SNAPSHOTS_WAITING_MAX }, () => feed.snapshot());
  assertEquals(feed.snapshot(), undefined);
  for (const snapshot of await Promise.all(snapshots)) assertEquals(snapshot, starts);
  const ended = new Feed({
    directory() {
      throw new Error("it looks");
    },
  });
  ended[Symbol.dispose]();
  assertEquals(await ended.snapshot(), { kind: "none", reason: "The dashboard ends" });
});
