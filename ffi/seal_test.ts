import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../runtime/errors.ts";
import { SEAL_KEY_BYTES, SEAL_OVERHEAD_BYTES, SEAL_RECORD_MAX_BYTES } from "./abi.ts";
import { openLibrary } from "./library.ts";
import { sealedBytes, SealState, Suite, suitesOf } from "./seal.ts";

const KEY = new Uint8Array(SEAL_KEY_BYTES).fill(7);

Deno.test("SealState: what one end seals the other opens, and nobody else", () => {
  using library = openLibrary();
  for (const suite of Object.values(Suite)) {
    if ((suitesOf(library) & suite) === 0) continue;
    const [sender, receiver] = [KEY, KEY].map((key) => new SealState(library, suite, key));
    const other = new SealState(library, suite, KEY.with(0, 6) as typeof KEY);
    for (const length of [1, 44, 4096, SEAL_RECORD_MAX_BYTES + 1]) {
      const plain = new Uint8Array(length).map((_, i) => i);
      const sealed = new Uint8Array(sealedBytes(length));
      assertEquals(sender!.seal(plain, sealed), sealed.length);
      const out = new Uint8Array(sealed.length);
      assertEquals(receiver!.open(sealed, out), length);
      assertEquals(receiver!.taken, sealed.length);
      assertEquals(out.subarray(0, length), plain);
      if (length > 1) continue;
      const error = assertThrows(() => other.open(sealed, out), TdsmError);
      assertEquals(error.code, "FrameCorrupted");
    }
  }
});

Deno.test("SealState: a record that is not whole is waited for, and its length is known", () => {
  using library = openLibrary();
  const [sender, receiver] = [KEY, KEY].map((key) =>
    new SealState(library, Suite.ChaCha20Poly1305, key)
  );
  const sealed = new Uint8Array(sealedBytes(100));
  sender!.seal(new Uint8Array(100), sealed);
  const out = new Uint8Array(sealed.length);
  const { needed } = receiver!;
  assertEquals(receiver!.open(sealed.subarray(0, needed - 1), out), 0);
  assertEquals(receiver!.taken, 0);
  assertEquals(receiver!.open(sealed.subarray(0, needed), out), 0);
  assertEquals(receiver!.taken, needed);
  assertEquals(receiver!.needed, 100 + SEAL_OVERHEAD_BYTES - needed);
});

Deno.test("SealState: a suite that there is not is refused, and nothing shows the key", () => {
  using library = openLibrary();
  assertThrows(() => new SealState(library, 8, KEY), TdsmError);
  assertThrows(() => new SealState(library, 1, KEY.subarray(1)), RangeError);
  assertNotEquals(suitesOf(library) & Suite.ChaCha20Poly1305, 0);
  const state = new SealState(library, Suite.ChaCha20Poly1305, KEY);
  assert(!Deno.inspect(state, { showHidden: true }).includes("7, 7"));
  assertEquals(JSON.stringify(state), "{}");
});
