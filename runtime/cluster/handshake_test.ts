import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import {
  connectToDirectory,
  connectToPeer,
  listen,
  shakeHands,
  whyUnreachable,
} from "./handshake.ts";
import { Link, type LinkHandlers } from "./link.ts";
import { newCounters, Sender } from "./sender.ts";

const HOST = "127.0.0.1";
/** Of TCPMUX, which nothing offers any more. */
const NOBODYS_PORT = 1;
const DEAF: LinkHandlers = {
  target: () => undefined,
  received() {},
  ended() {},
};

async function connectedPair(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const { hostname, port } = listener.addr;
  return await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
}

function newLink(connection: Deno.TcpConn, handlers: LinkHandlers): Link {
  const counters = newCounters();
  const bounds = { pageCount: 1, pageSize: 4096, runPages: 1 };
  return new Link(connection, () => bounds, counters, handlers);
}

Deno.test("shakeHands hands the messages behind the first word to the handlers that the receiver of it names", async () => {
  const [near, far] = await connectedPair();
  const second = Promise.withResolvers<string>();
  const other = newLink(far, DEAF);
  other.say({ kind: "accept", node: 3 });
  other.say({ kind: "closing" });
  const words: string[] = [];
  const link = await shakeHands((handlers) => newLink(near, handlers), (control, link) => {
    words.push(control.kind);
    link.open({ ...DEAF, received: ({ kind }) => second.resolve(kind) });
    return link;
  });
  assertEquals([words, await second.promise], [["accept"], "closing"]);
  link.close();
  other.close();
});

Deno.test("shakeHands fails with what the first word is answered by, and the link is closed", async () => {
  const [near, far] = await connectedPair();
  const ended = Promise.withResolvers<unknown>();
  const other = newLink(far, { ...DEAF, ended: (error) => ended.resolve(error) });
  other.say({ kind: "closing" });
  const planted = new Error("planted");
  const error = await assertRejects(() =>
    shakeHands((handlers) => newLink(near, handlers), () => {
      throw planted;
    })
  );
  assertEquals(error, planted);
  await ended.promise;
});

Deno.test("shakeHands fails when the other side closes without a word", async () => {
  const [near, far] = await connectedPair();
  far.close();
  const error = await assertRejects(
    () => shakeHands((handlers) => newLink(near, handlers), () => DEAF),
    TdsmError,
    "the other side closed the connection",
  );
  assertEquals(error.code, "PeerLost");
});

Deno.test("shakeHands takes no message about pages for a first word", async () => {
  const [near, far] = await connectedPair();
  const counters = newCounters();
  const sender = new Sender(counters);
  sender.open(far, () => {});
  sender.send({ kind: "leave" });
  sender.flush();
  await assertRejects(
    () => shakeHands((handlers) => newLink(near, handlers), () => DEAF),
    TdsmError,
    "leave before the handshake",
  );
  await sender.drained();
  far.close();
});

Deno.test("shakeHands leaves no timer when there is no link", () => {
  const planted = new Error("planted");
  assertThrows(
    () =>
      shakeHands(() => {
        throw planted;
      }, () => DEAF),
    Error,
    "planted",
  );
});

type Connect = (options: Deno.ConnectOptions) => Promise<Deno.TcpConn>;

/** Has the runtime connect by another function while something is done. */
async function connectingBy(connect: Connect, act: () => Promise<void>): Promise<void> {
  const own = Deno.connect;
  try {
    Object.assign(Deno, { connect });
    await act();
  } finally {
    Object.assign(Deno, { connect: own });
  }
}

Deno.test("connectToDirectory tries again until somebody listens", async () => {
  using listener = listen(HOST, 0);
  const { connect } = Deno;
  let tries = 0;
  const refusing: Connect = (options) => {
    if (++tries < 3) return Promise.reject(new Deno.errors.ConnectionRefused("planted"));
    return connect(options);
  };
  await connectingBy(refusing, async () => {
    const { hostname, port } = listener.addr;
    (await connectToDirectory({ hostname, port }, 60_000)).close();
  });
  assertEquals(tries, 3);
});

Deno.test("connectToDirectory with a time of 0 tries once, and lets that try take its time", async () => {
  using listener = listen(HOST, 0);
  const { hostname, port } = listener.addr;
  const { connect } = Deno;
  const slow: Connect = async (options) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return await connect(options);
  };
  await connectingBy(slow, async () => {
    (await connectToDirectory({ hostname, port }, 0)).close();
  });
  let tries = 0;
  const refusing: Connect = () => {
    tries++;
    return Promise.reject(new Deno.errors.ConnectionRefused("planted"));
  };
  await connectingBy(refusing, async () => {
    const message = `Cannot join: no directory at ${HOST}:${port} at the first try (planted).`;
    await assertRejects(() => connectToDirectory({ hostname, port }, 0), TdsmError, message);
  });
  assertEquals(tries, 1);
});

Deno.test("connectToDirectory says what to do when nobody is there", async () => {
  const port = NOBODYS_PORT;
  const error = await assertRejects(
    () => connectToDirectory({ hostname: HOST, port }, 40),
    TdsmError,
  );
  assertEquals([error.code, error.operation], ["NoDirectory", "join"]);
  assertMatch(error.message, /--directory-address.*--join-timeout/);
  assert(error.cause instanceof Deno.errors.ConnectionRefused);
});

Deno.test("connectToPeer fails at once when nobody listens", async () => {
  const port = NOBODYS_PORT;
  await assertRejects(
    () => connectToPeer({ hostname: HOST, port }),
    Deno.errors.ConnectionRefused,
  );
});

Deno.test({
  name: "connectToPeer asks for no permission",
  permissions: { net: ["127.0.0.1:2"] },
  async fn() {
    const error = await assertRejects(
      () => connectToPeer({ hostname: HOST, port: NOBODYS_PORT }),
      TdsmError,
      "run Deno with --allow-net=127.0.0.1",
    );
    assertEquals(error.code, "PermissionMissing");
  },
});

Deno.test("whyUnreachable: a reason where nobody listens, none where somebody does or it cannot be told", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  assertEquals(await whyUnreachable({ hostname, port }), undefined);
  listener.close();
  assertMatch(await whyUnreachable({ hostname, port }) ?? "reached", /\(os error 111\)/);
  assertEquals(await whyUnreachable({ hostname: "no-such-name.invalid", port }), undefined);
});

Deno.test("listen says which port is taken and what to do", () => {
  using listener = listen(HOST, 0);
  const { port } = listener.addr;
  const error = assertThrows(
    () => listen(HOST, port),
    TdsmError,
    `Cannot listen at ${HOST}:${port}`,
  );
  assertEquals([error.code, error.operation], ["ListenFailed", "listen"]);
  assertMatch(error.message, /--port/);
});

Deno.test("listen says that an address is none of this machine", () => {
  const error = assertThrows(() => listen("192.0.2.1", 0), TdsmError, "--address");
  assertEquals(error.code, "ListenFailed");
});
