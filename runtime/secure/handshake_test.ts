import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { SEAL_RECORD_MAX_BYTES } from "../../ffi/abi.ts";
import { TdsmError, type TdsmErrorCode } from "../errors.ts";
import { SEAL_BATCH_BYTES, SEAL_FIRST_MAX_BYTES } from "../limits.ts";
import { controlFrame, HELLO, readAll } from "../../tests/support/raw_peer.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import { demandKey, proveKey, type Secret } from "./handshake.ts";
import { keyPreamble, PREAMBLE_BYTES } from "./preamble.ts";
import type { SealedConnection, Stream } from "./sealed_connection.ts";

const text = (words: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(words);

/** A connection within this machine. */
async function pair(): Promise<[near: Deno.TcpConn, far: Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  return await Promise.all([Deno.connect({ hostname: "127.0.0.1", port }), listener.accept()]);
}

/** What one side has to do with the two ends of a connection. */
type Side<Result> = (connection: Deno.TcpConn) => Promise<Result>;

/** Runs both sides, and closes the connection. */
async function between<Near, Far>(near: Side<Near>, far: Side<Far>): Promise<[Near, Far]> {
  const [one, two] = await pair();
  const closing = async <Result>(side: Side<Result>, connection: Deno.TcpConn) => {
    try {
      return await side(connection);
    } finally {
      connection.close();
    }
  };
  return await Promise.all([closing(near, one), closing(far, two)]);
}

async function refused(work: Promise<unknown>, code: TdsmErrorCode): Promise<string> {
  const error: TdsmError = await assertRejects(() => work, TdsmError);
  assertEquals(error.code, code, error.message);
  return error.message;
}

/** Reads so many bytes. */
async function read(stream: Stream, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let end = 0; end < length;) {
    const count = await stream.read(bytes.subarray(end));
    if (count === null) throw new Error("it has ended");
    end += count;
  }
  return bytes;
}

async function write(stream: Stream, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await stream.write(bytes.subarray(sent));
}

/** Writes down what is read from a connection, and written to it. */
function tapped(connection: Deno.TcpConn): { stream: Stream; sent: number[]; received: number[] } {
  const [sent, received]: [number[], number[]] = [[], []];
  const stream: Stream = {
    remoteAddr: connection.remoteAddr,
    close: () => connection.close(),
    closeWrite: () => connection.closeWrite(),
    setNoDelay: (on) => connection.setNoDelay(on),
    async read(bytes) {
      const count = await connection.read(bytes);
      for (const byte of bytes.subarray(0, count ?? 0)) received.push(byte);
      return count;
    },
    async write(bytes) {
      const count = await connection.write(bytes);
      for (const byte of bytes.subarray(0, count)) sent.push(byte);
      return count;
    },
  };
  return { stream, sent, received };
}

function secretOf(library: ReturnType<typeof openLibrary>, fill = 7, plain = false): Secret {
  return { key: new Uint8Array(32).fill(fill), plain, library };
}

for (const [one, two] of [[false, false], [true, false], [false, true], [true, true]] as const) {
  const clear = one && two;
  Deno.test(`proveKey and demandKey: bytes pass both ways, ${clear ? "in the clear" : "sealed"}, with plain ${one} and ${two}`, async () => {
    using library = openLibrary();
    const page = new Uint8Array(3 * SEAL_RECORD_MAX_BYTES + 5).map((_, i) => i * i);
    let seen: readonly number[] = [];
    const talk = async (stream: SealedConnection, first: string) => {
      await write(stream, text(first));
      await write(stream, page);
    };
    await between(async (connection) => {
      const { stream, sent } = tapped(connection);
      const sealed = await proveKey(stream, secretOf(library, 7, one));
      await Promise.all([
        talk(sealed, "hello"),
        read(sealed, 7).then((bytes) => {
          assertEquals(bytes, text("welcome"));
        }),
      ]);
      assertEquals(await read(sealed, page.length), page);
      seen = sent;
      await sealed.closeWrite();
      assertEquals(await sealed.read(new Uint8Array(1)), null);
    }, async (connection) => {
      let known = false;
      const sealed = await demandKey(connection, secretOf(library, 7, two), () => known = true);
      assert(known);
      assertEquals(await read(sealed, 5), text("hello"));
      await Promise.all([
        talk(sealed, "welcome"),
        read(sealed, page.length).then((bytes) => {
          assertEquals(bytes, page);
        }),
      ]);
      assertEquals(await sealed.read(new Uint8Array(1)), null);
      await sealed.closeWrite();
    });
    const found = String.fromCharCode(...seen.slice(0, 400)).includes("hello");
    assert(!found, "the first message is sealed always");
    const piece = page.slice(1000, 1016).join();
    assertEquals(seen.join().includes(piece), clear);
  });
}

Deno.test("demandKey and proveKey: a side with another key learns only that there is one", async () => {
  using library = openLibrary();
  let received: readonly number[] = [];
  const [near] = await between(async (connection) => {
    const tap = tapped(connection);
    const message = await refused(proveKey(tap.stream, secretOf(library, 8)), "KeyMismatch");
    received = tap.received;
    return message;
  }, (connection) => refused(demandKey(connection, secretOf(library, 7)), "KeyMismatch"));
  assertEquals(near.includes("another key"), true);
  assertEquals(Uint8Array.from(received), keyPreamble() as Uint8Array);
});

Deno.test("demandKey: a node without a key, one of another version and a stranger are told apart", async () => {
  using library = openLibrary();
  const later = keyPreamble();
  later[6] = PROTOCOL_VERSION + 1;
  const cases: [Uint8Array, TdsmErrorCode][] = [
    [controlFrame(HELLO), "KeyMismatch"],
    [later, "VersionMismatch"],
    [text("GET / HTTP/1.1\r\n\r\n"), "ProtocolViolation"],
    [new Uint8Array(), "PeerLost"],
    [keyPreamble(), "PeerLost"],
  ];
  for (const [bytes, code] of cases) {
    await between(async (connection) => {
      await write(connection, bytes);
      await connection.closeWrite();
      const answer = await readAll(connection);
      assertEquals(answer.length, code === "PeerLost" ? 0 : PREAMBLE_BYTES, code);
    }, (connection) => refused(demandKey(connection, secretOf(library)), code));
  }
});

Deno.test("proveKey: what answers without the key is named", async () => {
  using library = openLibrary();
  const cases: [Uint8Array, TdsmErrorCode][] = [
    [controlFrame(HELLO), "KeyMismatch"],
    [keyPreamble(), "KeyMismatch"],
    [new Uint8Array([...keyPreamble(), ...new Uint8Array(200)]), "KeyMismatch"],
    [text("SSH-2.0-OpenSSH_9.9\r\n"), "ProtocolViolation"],
    [new Uint8Array(), "PeerLost"],
  ];
  for (const [bytes, code] of cases) {
    await between(
      (connection) => refused(proveKey(connection, secretOf(library)), code),
      async (connection) => {
        await read(connection, PREAMBLE_BYTES + 52);
        await write(connection, bytes);
        await connection.closeWrite();
        await connection.read(new Uint8Array(1));
      },
    );
  }
});

Deno.test("demandKey: what a node has said before opens no second connection", async () => {
  using library = openLibrary();
  let said = new Uint8Array();
  await between(async (connection) => {
    const { stream, sent } = tapped(connection);
    const sealed = await proveKey(stream, secretOf(library));
    await write(sealed, text("hello"));
    said = Uint8Array.from(sent);
    assertEquals(await sealed.read(new Uint8Array(1)), null);
  }, async (connection) => {
    const sealed = await demandKey(connection, secretOf(library));
    assertEquals(await read(sealed, 5), text("hello"));
  });
  const end = PREAMBLE_BYTES + 52;
  assertNotEquals(said.length, end);
  let known = 0;
  await between(async (connection) => {
    await write(connection, said);
    await connection.closeWrite();
    await readAll(connection);
  }, (connection) => {
    const work = demandKey(connection, secretOf(library), () => known++);
    return refused(work, "FrameCorrupted");
  });
  // The first message alone can be sent again. It lets nobody in.
  assertEquals(known, 1);
});

Deno.test("demandKey: before a side has shown its key, it can fill no more than a first record", async () => {
  using library = openLibrary();
  await between(async (connection) => {
    const sealed = await proveKey(connection, secretOf(library));
    await write(sealed, new Uint8Array(SEAL_FIRST_MAX_BYTES));
    await readAll(connection);
  }, async (connection) => {
    const message = await refused(demandKey(connection, secretOf(library)), "ProtocolViolation");
    assertEquals(message, "its first record is too long");
  });
});

Deno.test("proveKey: the side that was connected to has shown its key, and may say much at first", async () => {
  using library = openLibrary();
  const much = new Uint8Array(3 * SEAL_BATCH_BYTES).map((_, index) => index % 251);
  for (const plain of [false, true]) {
    const secret = { ...secretOf(library), plain };
    const [heard] = await between(async (connection) => {
      const sealed = await proveKey(connection, secret);
      await write(sealed, text("hello"));
      return await read(sealed, much.length);
    }, async (connection) => {
      await write(await demandKey(connection, secret), much);
    });
    assert(heard.every((byte, index) => byte === much[index]));
  }
});

Deno.test("SealedConnection: what is changed, cut, repeated or reflected on its way ends it", async () => {
  using library = openLibrary();
  const changes: [TdsmErrorCode, (record: Uint8Array) => Uint8Array][] = [
    ["FrameCorrupted", (record) => record.with(3, record[3]! ^ 1) as Uint8Array],
    ["FrameCorrupted", (record) => record.with(60, record[60]! ^ 1) as Uint8Array],
    ["FrameCorrupted", (record) => new Uint8Array([...record, ...record])],
    ["FrameCorrupted", (record) => record.subarray(1)],
    ["ProtocolViolation", (record) => record.subarray(0, 50)],
  ];
  for (const [code, change] of changes) {
    await between(async (connection) => {
      const { stream } = tapped(connection);
      const held: Stream = { ...stream, write: stream.write };
      let holds = false;
      held.write = async (bytes) => {
        if (!holds) return await stream.write(bytes);
        await write(connection, change(bytes));
        return bytes.length;
      };
      const sealed = await proveKey(held, secretOf(library));
      await write(sealed, text("hello"));
      holds = true;
      await write(sealed, new Uint8Array(100).fill(3));
      await connection.closeWrite();
      await readAll(connection);
    }, async (connection) => {
      const sealed = await demandKey(connection, secretOf(library));
      assertEquals(await read(sealed, 5), text("hello"));
      await refused(
        (async () => {
          for (;;) if (await sealed.read(new Uint8Array(1000)) === null) return;
        })(),
        code,
      );
    });
  }
});
