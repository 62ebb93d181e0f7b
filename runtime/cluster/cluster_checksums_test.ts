/** Which pages have checksums in a cluster, and how a connection that changes pages ends. */

import { assertEquals, assertMatch } from "@std/assert";
import { PEER_VERDICT_LAST_MS } from "../limits.ts";
import { crc32c } from "../wire/crc32c.ts";
import { describeFrameReason } from "../wire/reason.ts";
import { ClusterMember, grant, PAGE, REGION } from "../../tests/support/cluster_members.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

const PAYLOAD = Uint8Array.from({ length: 20 * PAGE }, (_, index) => index * 7 & 0xff);
const DAMAGED = describeFrameReason("PayloadChecksumMismatch");

/** A sum as a node has it whose memory, or whose way to the others, is not to be trusted. */
function wrongSum(bytes: Uint8Array): number {
  return (crc32c(bytes) ^ 1) >>> 0;
}

for (const checksums of [true, false]) {
  Deno.test(`Cluster: the directory decides that pages ${checksums ? "have" : "lack"} checksums`, async () => {
    await using directory = ClusterMember.host({ ...REGION, checksums });
    const summed: number[] = [];
    const count = (bytes: Uint8Array): number => {
      summed.push(bytes.length);
      return crc32c(bytes);
    };
    await using second = await new ClusterMember(false, count).join(directory);
    await using third = await new ClusterMember(false, count).join(directory);
    await second.until(() => second.cluster.peers.length === 2);
    second.cluster.send(3, grant(8, 20), PAYLOAD);
    second.cluster.flush();
    await third.until(() => third.heard.length === 1);
    assertEquals(third.alias.subarray(8 * PAGE, 28 * PAGE), PAYLOAD);
    assertEquals(summed, checksums ? [PAYLOAD.length, PAYLOAD.length] : []);
  });
}

Deno.test("Cluster: pages of a node that arrive changed are the loss of that node, and it is told", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember(false, wrongSum).join(directory);
  second.cluster.send(1, grant(8, 20), PAYLOAD);
  second.cluster.flush();
  await directory.until(() => directory.lost.length === 1);
  assertEquals([directory.lost, directory.reasons], [[2], [DAMAGED]]);
  assertEquals([directory.heard, directory.failures], [[], []]);
  await second.until(() => second.failures.length > 0);
  const { code, message } = second.failures[0]!;
  assertEquals([code, message], ["FrameCorrupted", `Node 1 ended the connection: ${DAMAGED}`]);
});

Deno.test("Cluster: pages of the directory node that arrive changed end a node, by the link's name", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember(false, wrongSum).join(directory);
  directory.cluster.send(2, grant(8, 20), PAYLOAD);
  directory.cluster.flush();
  await second.until(() => second.failures.length > 0);
  const { code, message } = second.failures[0]!;
  const at = `127.0.0.1:${directory.cluster.address.port}`;
  assertEquals([code, message], [
    "DirectoryLost",
    `Lost the directory node at ${at}: ${DAMAGED}`,
  ]);
  assertEquals(second.heard, []);
  await directory.until(() => directory.lost.length === 1);
  assertMatch(directory.reasons[0]!, new RegExp(`${DAMAGED}$`));
});

Deno.test("Cluster: pages of a peer that arrive changed are named with the peer", async () => {
  using timers = new ManualTimers(PEER_VERDICT_LAST_MS);
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  await using third = await new ClusterMember(false, wrongSum).join(directory);
  await second.until(() => second.cluster.peers.length === 2);
  third.cluster.send(2, grant(8, 20), PAYLOAD);
  third.cluster.flush();
  await third.until(() => third.failures.length > 0);
  assertEquals(third.failures[0]!.message, `Node 2 ended the connection: ${DAMAGED}`);
  // Without an engine node 3 does not end, so the directory still counts on it.
  while (timers.count(PEER_VERDICT_LAST_MS) === 0) await new Promise((go) => setTimeout(go, 0));
  timers.fire(PEER_VERDICT_LAST_MS);
  assertMatch(
    second.failures[0]!.message,
    /cannot reach node 3 at 127\.0\.0\.1:\d+, which .*: Frame/,
  );
  assertMatch(second.cluster.whyLost(3)!, /^Frame/);
  assertEquals([second.heard, directory.lost], [[], []]);
});
