import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { LAUNCH_TICKET_MAX_BYTES } from "../limits.ts";
import { join } from "../node/join.ts";
import { Turn, TURN_VARIABLE, TurnWord } from "../engine/turn.ts";
import { resolveSettings } from "../settings/settings.ts";
import { REGION, ScriptedPeer } from "../../tests/support/cluster_members.ts";
import type { NodeOptions } from "../settings/types.ts";
import { Turns } from "./turns.ts";

const DIRECTORY = { hostname: "127.0.0.1", port: 7000 };

/** The turn of a node whose environment has the ticket, and which joins the directory at a port. */
async function come(
  ticket: string,
  port: number = DIRECTORY.port,
  options: NodeOptions = {},
): Promise<Turn> {
  const { settings } = resolveSettings({ port, ...options }, [], () => undefined);
  const turn = new Turn();
  await turn.come(settings, (name) => name === TURN_VARIABLE ? ticket : undefined);
  return turn;
}

Deno.test("Turns: nodes that come in any order join one after the other", async () => {
  using turns = new Turns(3, DIRECTORY);
  assertEquals(turns.hasCome(3), false);
  const order: number[] = [];
  const nodes = [3, 1, 2].map(async (node) => {
    const turn = await come(turns.ticket(node));
    order.push(node);
    return turn;
  });
  for (const node of [1, 2, 3]) {
    const joined = turns.let(node);
    using turn = await nodes[[3, 1, 2].indexOf(node)]!;
    assertEquals(turns.hasCome(node), true);
    assertEquals(order.length, node);
    turn.tell(TurnWord.Joined, 1);
    await joined;
  }
  assertEquals(order, [1, 2, 3]);
});

Deno.test("Turns: a node that joins again, or joins or hosts another directory, does not wait", async () => {
  using turns = new Turns(1, DIRECTORY);
  // Else it would wait for ever.
  using _elsewhere = await come(turns.ticket(1), 7001);
  const directoryAddress = `${DIRECTORY.hostname}:${DIRECTORY.port}`;
  using _own = await come(turns.ticket(1), 7001, { directory: true, directoryAddress });
  const joined = turns.let(1);
  for (let time = 0; time < 2; time++) {
    using turn = await come(turns.ticket(1));
    turn.tell(TurnWord.Joined, 1);
    await joined;
  }
});

Deno.test("Turns: whether a node knew when it ended that another one was gone", async () => {
  using turns = new Turns(2, DIRECTORY);
  for (const node of [1, 2]) {
    void turns.let(node);
    using turn = await come(turns.ticket(node));
    turn.tell(TurnWord.Joined, 1);
    if (node === 2) turn.tell(TurnWord.OtherGone, 1);
  }
  assertEquals([await turns.knewOtherGone(1), await turns.knewOtherGone(2)], [false, true]);
});

Deno.test("Turns: a node that another one ends while it joins knew of it, too", async () => {
  using listener = Deno.listen({ hostname: DIRECTORY.hostname, port: 0 });
  const { hostname, port } = listener.addr;
  using turns = new Turns(2, listener.addr);
  void turns.let(2);
  Deno.env.set(TURN_VARIABLE, turns.ticket(2));
  try {
    const joining = join({ directoryAddress: `${hostname}:${port}` });
    const refused = assertRejects(() => joining, TdsmError, "Node 1 has failed");
    using directory = new ScriptedPeer(await listener.accept());
    assertEquals((await directory.next())?.kind, "hello");
    directory.link.say({ kind: "welcome", node: 2, session: 5n, ...REGION, peers: [] });
    directory.link.say({ kind: "abort", node: 1, reason: "planted" });
    assertEquals((await refused).code, "NodeFailed");
    assertEquals(await turns.knewOtherGone(2), true);
  } finally {
    Deno.env.delete(TURN_VARIABLE);
  }
});

Deno.test("Turns: a connection that shows no ticket is closed, and holds no node up", async () => {
  using turns = new Turns(1, DIRECTORY);
  const [at] = turns.ticket(1).split("/");
  const [hostname, port] = at!.split(":");
  for (
    const text of [
      "GET / HTTP/1.1\r\n",
      `${at}/7000/1/secret\n`,
      "x".repeat(LAUNCH_TICKET_MAX_BYTES),
    ]
  ) {
    using stranger = await Deno.connect({ hostname: hostname!, port: Number(port) });
    await stranger.write(new TextEncoder().encode(text));
    assertEquals(await stranger.read(new Uint8Array(1)).catch(() => null), null, text);
  }
  void turns.let(1);
  using _turn = await come(turns.ticket(1));
});

Deno.test("Turns: a node whose launcher has ended does not join", async () => {
  const turns = new Turns(2, DIRECTORY);
  void turns.let(1);
  const ticket = turns.ticket(2);
  using first = await come(turns.ticket(1));
  const waiting = come(ticket);
  turns[Symbol.dispose]();
  const why = /^Cannot join: the launcher at .* has ended\. Start the program again$/;
  for (const turn of [waiting, come(ticket)]) {
    const { code, message } = await assertRejects(() => turn, TdsmError);
    assertEquals([code, why.test(message)], ["NoDirectory", true], message);
  }
  // That harms no node that has joined.
  first.tell(TurnWord.OtherGone, 1);
});

Deno.test("Turns: a ticket that no launcher has written is refused", async () => {
  const { message } = await assertRejects(() => come("/7000/1/secret"), TdsmError);
  assertEquals(
    message,
    "Cannot use environment variable TDSM_LAUNCHER: only the launcher sets it. Unset it",
  );
});
