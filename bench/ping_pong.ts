/** The floor that everything is measured against: plain Deno TCP between the same two processes. */

/**
 * Answers every ping with a pong, until the connection ends.
 *
 * @param pingBytes The size of a ping.
 * @param pongBytes The size of a pong.
 * @returns The port to connect to, and a promise that resolves at the end.
 */
export function echo(
  pingBytes: number,
  pongBytes: number,
): { readonly port: number; readonly ended: Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return { port: listener.addr.port, ended: serve(listener, pingBytes, pongBytes) };
}

async function serve(listener: Deno.TcpListener, pingBytes: number, pongBytes: number) {
  using _listener = listener;
  using connection = await listener.accept();
  connection.setNoDelay(true);
  const [ping, pong] = [new Uint8Array(pingBytes), new Uint8Array(pongBytes)];
  while (await readFully(connection, ping)) await writeFully(connection, pong);
}

/** The side that pings. */
export class Pinger implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #ping: Uint8Array;
  readonly #pong: Uint8Array;

  private constructor(connection: Deno.TcpConn, pingBytes: number, pongBytes: number) {
    this.#connection = connection;
    this.#ping = new Uint8Array(pingBytes);
    this.#pong = new Uint8Array(pongBytes);
  }

  /**
   * Connects.
   *
   * @param port Where {@linkcode echo} listens.
   * @param pingBytes The size of a ping there.
   * @param pongBytes The size of a pong there.
   * @returns What pings.
   */
  static async connect(port: number, pingBytes: number, pongBytes: number): Promise<Pinger> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    return new Pinger(connection, pingBytes, pongBytes);
  }

  /** Pings, and waits for the pong. */
  async ping(): Promise<void> {
    await writeFully(this.#connection, this.#ping);
    if (!await readFully(this.#connection, this.#pong)) throw new Error("The other side ended");
  }

  /** Ends the connection. */
  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

async function readFully(connection: Deno.Conn, target: Uint8Array): Promise<boolean> {
  for (let there = 0; there < target.length;) {
    const received = await connection.read(target.subarray(there));
    if (received === null) return false;
    there += received;
  }
  return true;
}

async function writeFully(connection: Deno.Conn, source: Uint8Array): Promise<void> {
  for (let sent = 0; sent < source.length;) sent += await connection.write(source.subarray(sent));
}
