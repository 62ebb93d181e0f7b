/**
 * Engines that take the socket from Deno once it is connected: calls through FFI that never block,
 * in the same turn of the polling loop that asks for faults. Asleep, one call waits for faults and
 * the socket alike. Deno listens, connects and closes, so what it does not permit is not possible.
 */

import {
  checked,
  END_PAGE,
  ENDED,
  findDescriptor,
  Header,
  HEADER_BYTES,
  Kind,
  type Native,
  NONE,
  PAGE_BYTES,
  type Round,
  Waiting,
} from "./native.ts";

/** What an engine does when there is nothing to do. */
function rest(native: Native, fd: number, waiting: Waiting): void {
  if (waiting === Waiting.Asleep) checked(native.native_wait(fd));
}

/** How often {@linkcode Waiting.Looks} looks in a turn of the event loop: some 20 us when idle. */
const LOOKS = 32;

/** Does turns until one says that it was the last. */
function run(turn: () => boolean, waiting: () => Waiting): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const go = (): void => {
    try {
      for (let looks = 1;; looks++) {
        if (turn()) return resolve();
        const now = waiting();
        if (now === Waiting.Turns || (now === Waiting.Looks && looks >= LOOKS)) break;
      }
    } catch (error) {
      return reject(error);
    }
    setImmediate(go);
  };
  go();
  return promise;
}

/** Sends a header, for which there is room: nothing else is on its way. */
function sendHeader(native: Native, fd: number, { bytes }: Header): void {
  const sent = checked(native.native_send(fd, bytes, HEADER_BYTES));
  if (sent !== HEADER_BYTES) throw new Error("Cannot send a header");
}

/** Answers requests for pages until the connection ends. */
class OwnOwner {
  readonly #native: Native;
  readonly #fd: number;
  readonly #header = new Header();
  /** Of the answer that is under way. */
  #done = 0;
  #total = 0;
  #waiting: Waiting = Waiting.Asleep;

  constructor(native: Native, fd: number) {
    this.#native = native;
    this.#fd = fd;
  }

  serve(): Promise<void> {
    return run(() => this.#turn(), () => this.#waiting);
  }

  /** Whether the connection has ended. */
  #turn(): boolean {
    if (this.#done < this.#total) {
      const { first, count } = this.#header;
      const sent = checked(this.#native.native_send_pages(this.#fd, first, count, this.#done));
      if (sent > 0) this.#done += sent;
      else if (sent === NONE && this.#waiting === Waiting.Asleep) {
        checked(this.#native.native_wait_room(this.#fd));
      }
      return sent === ENDED;
    }
    const came = checked(
      this.#native.native_receive(this.#fd, this.#header.bytes, HEADER_BYTES),
    );
    if (came === NONE) rest(this.#native, this.#fd, this.#waiting);
    if (came > 0) this.#take(came);
    return came === ENDED;
  }

  #take(came: number): void {
    // The other side waits for each answer, so a header is all that is on its way.
    if (came !== HEADER_BYTES) throw new Error("Half a header");
    if (this.#header.kind === Kind.Wait) {
      this.#waiting = this.#header.count as Waiting;
      sendHeader(this.#native, this.#fd, this.#header);
    } else {
      this.#done = 0;
      this.#total = this.#header.count * PAGE_BYTES;
      this.#turn();
    }
  }
}

/**
 * Owns pages.
 *
 * @param native The library, with its memory filled.
 * @param listening Told the port.
 * @returns When the connection has ended.
 */
export async function own(native: Native, listening: (port: number) => void): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listening(listener.addr.port);
  using connection = await listener.accept();
  await new OwnOwner(native, findDescriptor(native, connection)).serve();
}

/** Fetches pages. */
export class OwnAsker {
  readonly #native: Native;
  readonly #fd: number;
  readonly #header = new Header();
  #run = 1;
  #behind = 0;
  #waiting: Waiting = Waiting.Asleep;
  /** Of the answer that is under way. */
  #first = 0;
  #count = 0;
  #done = 0;

  private constructor(native: Native, fd: number) {
    this.#native = native;
    this.#fd = fd;
  }

  /** Connects. */
  static async connect(native: Native, port: number): Promise<OwnAsker> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    return new OwnAsker(native, findDescriptor(native, connection));
  }

  /** Serves faults until the program touches the end page. */
  async serve({ waiting, run: pages, count, stride }: Round): Promise<void> {
    this.#run = pages;
    this.#behind = count * stride;
    this.#waiting = waiting;
    await run(() => this.#turn(), () => waiting);
  }

  /** Tells the owner how to wait; returns when it does. */
  agree(waiting: Waiting): void {
    this.#header.set(Kind.Wait, waiting, 0);
    sendHeader(this.#native, this.#fd, this.#header);
    let came: number = NONE;
    while (came === NONE) {
      came = checked(this.#native.native_receive(this.#fd, this.#header.bytes, HEADER_BYTES));
    }
    if (came !== HEADER_BYTES) throw new Error("The owner ended");
  }

  /** Whether the round is over. */
  #turn(): boolean {
    return this.#count > 0 ? this.#receive() : this.#fault();
  }

  #fault(): boolean {
    const page = checked(this.#native.native_fault());
    if (page === NONE) {
      rest(this.#native, this.#fd, this.#waiting);
    } else if (page === END_PAGE) {
      return true;
    } else {
      this.#first = page;
      this.#count = Math.min(this.#run, this.#behind - page);
      this.#done = 0;
      this.#header.set(Kind.Pages, this.#count, page);
      sendHeader(this.#native, this.#fd, this.#header);
    }
    return false;
  }

  #receive(): boolean {
    const { native_receive_pages, native_install } = this.#native;
    const came = checked(native_receive_pages(this.#fd, this.#first, this.#count, this.#done));
    if (came === ENDED) throw new Error("The owner ended");
    if (came === NONE) {
      rest(this.#native, this.#fd, this.#waiting);
    } else if ((this.#done += came) === this.#count * PAGE_BYTES) {
      checked(native_install(this.#first, this.#count));
      this.#count = 0;
    }
    return false;
  }
}
