/**
 * The region as one thread has it in JavaScript: the buffer of `node.memory`, and which cells of
 * the region a view shows.
 *
 * A buffer can be taken away from the program that has it: a byte stream's reader, `postMessage`
 * and `structuredClone` with a list of transfers, and `ArrayBuffer.prototype.transfer` detach the
 * one that they are given, and make another one over the same memory. So the node makes a new
 * buffer when it is asked for one, and knows the views of the region by their addresses.
 */

import type { NativeRegion } from "../../ffi/native.ts";

/** What {@linkcode RegionMemory} needs of a region. */
export type MappedRegion = Pick<NativeRegion, "window" | "windowAddress" | "size">;

/**
 * Memory where a part of the region is seen as well: the shared variables of a native module, or a
 * WebAssembly memory.
 */
export interface MemoryWindow {
  /** Address of the first byte. */
  readonly address: bigint;
  /** Its bytes. */
  readonly size: number;
  /** The byte of the region that is seen first. */
  readonly regionByte: number;
}

/** One thread's memory of the region. */
export class RegionMemory {
  readonly #region: MappedRegion;
  readonly #main: MemoryWindow;
  readonly #windows = new Set<MemoryWindow>();
  #bytes: Uint8Array<ArrayBuffer>;
  /** Of shared buffers that were seen, where each begins in the region; NaN for one elsewhere. */
  #shared = new WeakMap<SharedArrayBuffer, number>();
  #ended = false;

  /** @param region The region. */
  constructor(region: MappedRegion) {
    this.#region = region;
    this.#main = { address: region.windowAddress, size: region.size, regionByte: 0 };
    this.#bytes = region.window();
  }

  /** The whole region; without elements once the memory has ended. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes.buffer.detached && !this.#ended) this.#bytes = this.#region.window();
    return this.#bytes;
  }

  /** Whether the memory has ended, because the node is closed or the thread has detached. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * From here on a part of the region is seen in another place as well.
   *
   * @param window Where.
   * @returns Ends that.
   */
  addWindow(window: MemoryWindow): () => void {
    this.#windows.add(window);
    // A buffer that began elsewhere may be seen from here on.
    this.#shared = new WeakMap();
    return () => void this.#windows.delete(window);
  }

  /**
   * Where a view begins in the region: a view of this thread's buffer, of one that was taken from
   * the program, of a native module's shared variables, or of a WebAssembly memory.
   *
   * @param view Any view.
   * @returns The offset, in bytes; `undefined` where the view is not over the region.
   */
  offsetOf(view: ArrayBufferView): number | undefined {
    const { buffer, byteOffset, byteLength } = view;
    if (this.#ended) return undefined;
    if (buffer === this.#bytes.buffer && !this.#bytes.buffer.detached) return byteOffset;
    // Without bytes a view has no place, as one of a buffer that is detached.
    if (byteLength === 0) return undefined;
    if (!(buffer instanceof SharedArrayBuffer)) return this.#locate(view);
    // Each thread to which it was sent has another object over the same memory, which never moves.
    let start = this.#shared.get(buffer);
    if (start === undefined) {
      const first = this.#locate(view);
      start = first === undefined ? NaN : first - byteOffset;
      this.#shared.set(buffer, start);
    }
    return Number.isNaN(start) ? undefined : start + byteOffset;
  }

  /** The same by the address of a view. */
  #locate(view: ArrayBufferView): number | undefined {
    const { byteLength } = view;
    const address = Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(view as Uint8Array<ArrayBuffer>),
    );
    for (const { address: start, size, regionByte } of [this.#main, ...this.#windows]) {
      const offset = Number(address - start);
      if (offset >= 0 && offset + byteLength <= size) return regionByte + offset;
    }
    return undefined;
  }

  /** Ends the memory: the buffer, and every view of it, is empty from here on. */
  end(): void {
    this.#ended = true;
    // A transfer to no thread detaches the buffer, so that views no longer reach the memory.
    if (!this.#bytes.buffer.detached) this.#bytes.buffer.transfer();
  }
}
