/**
 * The same engines over Deno's sockets: a read waits for the answer before the request is written,
 * and `setImmediate` keeps the event loop awake. Asleep, a thread of Deno's pool waits for faults.
 */

import {
  checked,
  END_PAGE,
  findDescriptor,
  Header,
  Kind,
  type Native,
  NONE,
  PAGE_BYTES,
  type Round,
  Waiting,
} from "./native.ts";

async function readFully(connection: Deno.Conn, target: Uint8Array): Promise<boolean> {
  for (let there = 0; there < target.length;) {
    const received = await connection.read(there === 0 ? target : target.subarray(there));
    if (received === null) return false;
    there += received;
  }
  return true;
}

async function writeFully(connection: Deno.Conn, source: Uint8Array): Promise<void> {
  for (let sent = 0; sent < source.length;) {
    sent += await connection.write(sent === 0 ? source : source.subarray(sent));
  }
}

function pages(alias: Uint8Array, first: number, count: number): Uint8Array {
  return alias.subarray(first * PAGE_BYTES, (first + count) * PAGE_BYTES);
}

/**
 * Owns pages.
 *
 * @param native The library.
 * @param alias The bytes of all pages.
 * @param listening Told the port.
 * @returns When the connection has ended.
 */
export async function own(
  native: Native,
  alias: Uint8Array,
  listening: (port: number) => void,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listening(listener.addr.port);
  using connection = await listener.accept();
  const fd = findDescriptor(native, connection);
  const header = new Header();
  let waiting: Waiting = Waiting.Asleep;
  let writing = false;
  const turn = (): void => {
    if (waiting === Waiting.Asleep) return;
    // What is not written yet is written by the event loop alone.
    if (waiting === Waiting.Poll && !writing) checked(native.native_wait(fd));
    setImmediate(turn);
  };
  while (await readFully(connection, header.bytes)) {
    const before = waiting;
    if (header.kind === Kind.Wait) waiting = header.count as Waiting;
    writing = true;
    await writeFully(
      connection,
      header.kind === Kind.Wait ? header.bytes : pages(alias, header.first, header.count),
    );
    writing = false;
    if (before === Waiting.Asleep) turn();
  }
  waiting = Waiting.Asleep;
}

/** Fetches pages. */
export class DenoAsker {
  readonly #native: Native;
  readonly #alias: Uint8Array;
  readonly #connection: Deno.TcpConn;
  readonly #fd: number;
  readonly #header = new Header();
  #run = 1;
  #behind = 0;
  #writing = false;

  private constructor(native: Native, alias: Uint8Array, connection: Deno.TcpConn) {
    this.#native = native;
    this.#alias = alias;
    this.#connection = connection;
    this.#fd = findDescriptor(native, connection);
  }

  /** Connects. */
  static async connect(native: Native, alias: Uint8Array, port: number): Promise<DenoAsker> {
    return new DenoAsker(native, alias, await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Tells the owner how to wait; resolves when it does. */
  async agree(waiting: Waiting): Promise<void> {
    await writeFully(this.#connection, this.#header.set(Kind.Wait, waiting, 0).bytes);
    if (!await readFully(this.#connection, this.#header.bytes)) throw new Error("The owner ended");
  }

  /** Serves faults until the program touches the end page. */
  async serve({ waiting, run, count, stride }: Round): Promise<void> {
    this.#run = run;
    this.#behind = count * stride;
    if (waiting === Waiting.Asleep) await this.#serveAsleep();
    else await this.#serveAwake(waiting);
  }

  async #serveAsleep(): Promise<void> {
    while (true) {
      const page = checked(this.#native.native_fault());
      if (page === END_PAGE) return;
      if (page === NONE) checked(await this.#native.native_wait_aside(-1));
      else await this.#fetch(page);
    }
  }

  #serveAwake(waiting: Waiting): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const turn = (): void => {
      if (waiting === Waiting.Poll && !this.#writing) this.#native.native_wait(this.#fd);
      const page = this.#native.native_fault();
      if (page === END_PAGE) return resolve();
      if (page !== NONE) this.#fetch(page).catch(reject);
      setImmediate(turn);
    };
    turn();
    return promise;
  }

  async #fetch(page: number): Promise<void> {
    const count = Math.min(this.#run, this.#behind - page);
    const there = readFully(this.#connection, pages(this.#alias, page, count));
    this.#writing = true;
    await writeFully(this.#connection, this.#header.set(Kind.Pages, count, page).bytes);
    this.#writing = false;
    if (!await there) throw new Error("The owner ended");
    checked(this.#native.native_install(page, count));
  }
}
