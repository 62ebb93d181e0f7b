/**
 * The states that were seen: a hash table of 53-bit fingerprints that gives each a number, in the
 * order in which they were added. A `Map` would end at 2^24 of them.
 */

const EMPTY = -1;

/** Fingerprints and their numbers. */
export class StateSet {
  #keys = new Float64Array(1 << 16).fill(EMPTY);
  #ids = new Int32Array(1 << 16);
  /** How many there are. */
  size = 0;

  /**
   * @param fingerprint A state's.
   * @returns Its number, and whether it was new.
   */
  add(fingerprint: number): { id: number; added: boolean } {
    if (this.size * 2 > this.#keys.length) this.#grow();
    const slot = this.#slot(fingerprint);
    if (this.#keys[slot] === fingerprint) return { id: this.#ids[slot]!, added: false };
    this.#keys[slot] = fingerprint;
    this.#ids[slot] = this.size;
    return { id: this.size++, added: true };
  }

  #slot(fingerprint: number): number {
    const mask = this.#keys.length - 1;
    let slot = fingerprint % 0x1_0000_0000 & mask;
    while (this.#keys[slot] !== EMPTY && this.#keys[slot] !== fingerprint) slot = slot + 1 & mask;
    return slot;
  }

  #grow(): void {
    const keys = this.#keys;
    const ids = this.#ids;
    this.#keys = new Float64Array(keys.length * 2).fill(EMPTY);
    this.#ids = new Int32Array(keys.length * 2);
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index]!;
      if (key === EMPTY) continue;
      const slot = this.#slot(key);
      this.#keys[slot] = key;
      this.#ids[slot] = ids[index]!;
    }
  }
}
