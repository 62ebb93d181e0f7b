/** A TCP proxy that damages what it passes on, once, at a place that a test chooses. */

import { writeAll } from "../support/link_bench.ts";
import { TcpProxy, type Way } from "./tcp_proxy.ts";

/** What is done to the bytes. */
export type DamageKind = "flip" | "drop" | "repeat" | "cut";

/** One damage to one connection. */
export interface Damage {
  readonly kind: DamageKind;
  /** The damaged direction: the bytes of the side that connects, or the answers to it. */
  readonly way: Way;
  /** How many bytes pass unharmed before the damage. */
  readonly after: number;
  /** Of a flip the bit, from 0 to 7; otherwise how many bytes, at least 1. */
  readonly amount: number;
}

const CHUNK_BYTES = 64 * 1024;

/** Passes every byte on to a node; damages only the first connection that gets so far. */
export class DamagingProxy extends TcpProxy {
  /** Whether the damage is done. */
  done = false;
  readonly #damage: Damage;

  /**
   * @param target Where to pass on to.
   * @param damage What to do to it.
   */
  constructor(target: Deno.ConnectOptions, damage: Damage) {
    super(target);
    this.#damage = damage;
  }

  protected override async pass(from: Deno.Conn, to: Deno.Conn, way: Way): Promise<void> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    let passed = 0;
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) return await to.closeWrite();
      let bytes = buffer.subarray(0, count);
      const at = this.#damage.after - passed;
      passed += count;
      const here = !this.done && way === this.#damage.way && at < count;
      if (here) {
        this.done = true;
        if (this.#damage.kind === "cut") {
          await writeAll(to, bytes.subarray(0, at));
          from.close();
          return to.close();
        }
        bytes = damaged(bytes, at, this.#damage);
      }
      await writeAll(to, bytes);
    }
  }
}

function damaged(bytes: Uint8Array<ArrayBuffer>, at: number, damage: Damage): typeof bytes {
  const end = Math.min(at + damage.amount, bytes.length);
  switch (damage.kind) {
    case "flip":
      bytes[at]! ^= 1 << damage.amount;
      return bytes;
    case "drop":
      return joined(bytes.subarray(0, at), bytes.subarray(end));
    case "repeat":
      return joined(bytes.subarray(0, end), bytes.subarray(at));
    case "cut":
      return bytes.subarray(0, at);
  }
}

function joined(one: Uint8Array, two: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}
