import { assertEquals, assertMatch } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { type MakeShared, openSharedRegion } from "./shared_buffer.ts";

const OPTIONS = { size: 1 << 20, pageSize: 4096 };

/** Opens a region with a buffer made otherwise; returns why that is none. */
function whyNone(make: MakeShared): string | SharedArrayBuffer {
  using library = openLibrary();
  const { region, shared } = openSharedRegion(library, OPTIONS, make);
  region.install(1, 1, true);
  region.window()[4096] = 9;
  assertEquals(region.alias()[4096], 9);
  region[Symbol.dispose]();
  return shared;
}

// A message that is never taken is what keeps the buffer.
const KEEPS = { sanitizeResources: false };

Deno.test("openSharedRegion: the buffer is the region, at the same address", KEEPS, () => {
  using library = openLibrary();
  const { region, shared } = openSharedRegion(library, OPTIONS);
  const bytes = new Uint8Array(shared as SharedArrayBuffer, 0, OPTIONS.size);
  const at = Deno.UnsafePointer.of(bytes as never);
  assertEquals(Deno.UnsafePointer.value(at), region.windowAddress);
  region.install(255, 1, true);
  bytes[OPTIONS.size - 1] = 7;
  assertEquals(region.alias()[OPTIONS.size - 1], 7);
  region[Symbol.dispose]();
  assertEquals(bytes[OPTIONS.size - 1], 0);
});

Deno.test(
  "openSharedRegion: where buffers are laid out otherwise, the region is as without one",
  KEEPS,
  () => {
    const fixed: MakeShared = (_, { maxByteLength }) => new SharedArrayBuffer(maxByteLength);
    assertMatch(whyNone(fixed) as string, /do not grow to 1048576 bytes/);
    const short: MakeShared = (bytes) => new SharedArrayBuffer(bytes, { maxByteLength: 4096 });
    assertMatch(whyNone(short) as string, /do not grow to 1048576 bytes/);
    const none: MakeShared = () => {
      throw new RangeError("Array buffer allocation failed");
    };
    assertMatch(whyNone(none) as string, /makes no growable buffer of 1048576 bytes: Array buffer/);
  },
);
