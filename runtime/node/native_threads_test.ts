import { assertEquals } from "@std/assert";
import { PROGRAM_NODE_FIELDS } from "../../ffi/abi.ts";
import { openLibrary } from "../../ffi/library.ts";
import {
  ALLOCATION_NAME_MAX_BYTES,
  BARRIER_PARTIES_MAX,
  REUSED_RUNS_MAX,
  SEMAPHORE_COUNT_MAX,
  SYNC_NAME_MAX_BYTES,
} from "../limits.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { Answer, Call } from "../ring/calls.ts";
import { LinkWord } from "../ring/call_slots.ts";
import { RecordWord, RingWord } from "../ring/ring.ts";
import { FRAME_HEADER_BYTES, Offset } from "../wire/layout.ts";
import { SyncOffset } from "../wire/sync_frames.ts";

/** Numbers by their names in the library, of those that it knows. */
function known(
  names: Record<string, number>,
  numbers: Readonly<Record<string, number>>,
): Record<string, number | undefined> {
  const pascal = (name: string): string =>
    name.replaceAll(/(?:^|_)([a-z])/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.keys(names).map((name) => [name, numbers[pascal(name)]]));
}

/** Where the fields of a structure are, in units of so many bytes. */
function offsetsOf(
  { fields }: { readonly fields: Record<string, { readonly offset: number }> },
  unit: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, { offset }]) => [name, offset / unit]),
  );
}

Deno.test("native_threads.ts: the library has the layouts and numbers of the shared memory", () => {
  using library = openLibrary();
  const text = library.symbols.tdsm_program_manifest();
  const manifest = JSON.parse(Deno.UnsafePointerView.getCString(text!));
  const { tdsm_program_node, tdsm_call_ring, tdsm_call_record, tdsm_call_link, tdsm_sync_frame } =
    manifest.structs;
  assertEquals(tdsm_program_node, {
    size: 4 * PROGRAM_NODE_FIELDS.length,
    fields: Object.fromEntries(
      PROGRAM_NODE_FIELDS.map((field, index) => [field, { offset: 4 * index, size: 4 }]),
    ),
  });

  const { fields, size } = tdsm_call_ring;
  assertEquals(
    [size, fields.written, fields.reader_waits, fields.read, fields.writer_waits].map((field) =>
      (field.offset ?? field) / 4
    ),
    [
      RingWord.Words,
      RingWord.Written,
      RingWord.ReaderWaits,
      RingWord.Read,
      RingWord.WriterWaits,
    ],
  );
  assertEquals(offsetsOf(tdsm_call_record, 4), known(tdsm_call_record.fields, RecordWord));

  assertEquals(offsetsOf(tdsm_call_link, 4), known(tdsm_call_link.fields, LinkWord));
  assertEquals(tdsm_sync_frame.size, FRAME_HEADER_BYTES);
  const { code, ticket, count, lock, key, body_checksum, header_checksum } = offsetsOf(
    tdsm_sync_frame,
    1,
  );
  assertEquals({ code, ticket, count, lock, key }, {
    code: SyncOffset.Code,
    ticket: SyncOffset.Ticket,
    count: SyncOffset.Count,
    lock: SyncOffset.Lock,
    key: SyncOffset.Key,
  });
  assertEquals([body_checksum, header_checksum], [Offset.BodyChecksum, Offset.HeaderChecksum]);

  assertEquals(manifest.calls, known(manifest.calls, Call));
  assertEquals(manifest.answers, known(manifest.answers, Answer));
  assertEquals(manifest.operations, known(manifest.operations, SyncOperation));
  assertEquals(manifest.statuses, known(manifest.statuses, SyncStatus));
  assertEquals(manifest.limits, {
    sync_name_max: SYNC_NAME_MAX_BYTES,
    allocation_name_max: ALLOCATION_NAME_MAX_BYTES,
    parties_max: BARRIER_PARTIES_MAX,
    permits_max: SEMAPHORE_COUNT_MAX,
    runs_max: REUSED_RUNS_MAX,
  });
});

Deno.test("native_threads.ts: the codes of the header are those of the library", async () => {
  using library = openLibrary();
  const text = library.symbols.tdsm_program_manifest();
  const { codes, elements } = JSON.parse(Deno.UnsafePointerView.getCString(text!));
  const header = await Deno.readTextFile(new URL("../../zig/include/tdsm.h", import.meta.url));
  const named = (block: string): Record<string, number> => {
    const [, body] = new RegExp(`enum ${block} \\{(.*?)\\};`, "s").exec(header)!;
    return Object.fromEntries(
      [...body!.matchAll(/TDSM_(\w+) = (-?\d+)/g)].map(([, name, number]) => [
        name!.toLowerCase(),
        Number(number),
      ]),
    );
  };
  assertEquals(named("tdsm_code"), codes);
  assertEquals(named("tdsm_element"), elements);
});
