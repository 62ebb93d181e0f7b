import { assertEquals } from "@std/assert";
import { HOST, REGION } from "../../tests/support/cluster_members.ts";
import { HELLO } from "../../tests/support/raw_peer.ts";
import { NODES_MAX } from "../limits.ts";
import { Members } from "./members.ts";

Deno.test("Members.admit gives each id once, and counts the nodes that run a program", () => {
  const members = new Members(1, 5n, REGION);
  assertEquals([members.self, members.isDirectory, members.bounds.pageCount], [1, true, 64]);
  const admit = (serving: boolean): number => {
    const peer = members.offer(HELLO, HOST);
    members.admit(peer, { serving });
    return peer.id;
  };
  assertEquals([admit(false), admit(true), admit(false)], [2, 3, 4]);
  assertEquals(members.working, [2, 4]);
  assertEquals([members.remove(2), members.remove(2)], [true, false]);
  assertEquals([members.isGone(2), members.get(2), members.working], [true, undefined, [4]]);
  assertEquals([members.nextId, admit(true)], [5, 5]);
  assertEquals(members.peers.map(({ id }) => id), [3, 4, 5]);
});

Deno.test("Members.offer gives the id of a node that did not join to the next", () => {
  const members = new Members(1, 5n, REGION);
  const [second, third, fourth] = [2, 3, 4].map(() => members.offer(HELLO, HOST));
  members.admit(third!, HELLO);
  members.withdraw(fourth!);
  members.withdraw(second!);
  assertEquals(members.peers.map(({ id }) => id), [3]);
  assertEquals(members.isGone(2), false);
  assertEquals(members.nextId, 2);
  assertEquals([2, 4, 5].map(() => members.offer(HELLO, HOST).id), [2, 4, 5]);
});

Deno.test("Members.offer keeps an id for each rank, and gives it once", () => {
  const members = new Members(1, 5n, REGION, { rank: 0, nodeCount: 4 });
  const offer = (rank?: number) =>
    members.offer(rank === undefined ? HELLO : { ...HELLO, rank }, HOST);
  assertEquals([offer(3).id, offer().id, offer(1).id], [4, 5, 2]);
  // Of a rank that is started again, a rank that there is not, and one that the directory node has.
  assertEquals([offer(3).id, offer(4).id, offer(0).id], [6, 7, 8]);
  const second = offer(2);
  members.withdraw(second);
  assertEquals([second.id, offer(2).id, offer(2).id], [3, 3, 9]);
});

Deno.test("Members.offer: a directory node of another rank than 0 has rank 0's id, and gives its own", () => {
  const members = new Members(1, 5n, REGION, { rank: 2, nodeCount: 3 });
  const ids = [0, 1, 2].map((rank) => members.offer({ ...HELLO, rank }, HOST).id);
  assertEquals(ids, [3, 2, 4]);
  const without = new Members(1, 5n, REGION);
  assertEquals(without.offer({ ...HELLO, rank: 2 }, HOST).id, 2);
});

Deno.test("Members: an id kept for a rank is not gone before it was given, however many are", () => {
  const members = new Members(2, 5n, REGION);
  for (let id = NODES_MAX + 1; id <= 100_000; id++) members.remove(id);
  assertEquals([3, NODES_MAX].map((id) => members.isGone(id)), [false, false]);
  members.add({ id: 3, address: "host", port: 8 });
  members.remove(3);
  assertEquals([members.isGone(3), members.goneEarly], [true, [3]]);
});

Deno.test("Members.admit takes the connection's address for a node that listens everywhere", () => {
  const members = new Members(1, 5n, REGION);
  for (const address of ["0.0.0.0", "::", "10.0.0.7"]) {
    members.admit(members.offer({ ...HELLO, address, port: 4 }, "10.0.0.9"), HELLO);
  }
  const expected = ["10.0.0.9", "10.0.0.9", "10.0.0.7"];
  assertEquals(members.peers.map(({ address }) => address), expected);
});

Deno.test("Members knows every node that is gone, and remembers only the last", () => {
  const members = new Members(2, 5n, REGION);
  members.add({ id: 1, address: "host", port: 8 });
  members.add({ id: 3, address: "host", port: 8 });
  for (let id = 4; id <= 100_000; id++) {
    members.add({ id, address: "host", port: 8 });
    members.remove(id);
  }
  assertEquals([4, 5_000, 99_999, 100_000].map((id) => members.isGone(id)), Array(4).fill(true));
  assertEquals([1, 2, 3, 100_001].map((id) => members.isGone(id)), Array(4).fill(false));
});

Deno.test("Members knows a peer that was announced late as gone, and where the others listen", () => {
  const members = new Members(3, 5n, REGION);
  assertEquals(members.isDirectory, false);
  members.add({ id: 4, address: "::1", port: 9 });
  members.add({ id: 1, address: "host", port: 8 });
  assertEquals(members.peers.map(({ id }) => id), [1, 4]);
  assertEquals([members.at(4), members.at(1)], ["[::1]:9", "host:8"]);
  assertEquals(members.at(5), "an address that the directory has not told");
  assertEquals([members.remove(5), members.isGone(5)], [false, true]);
});
