import { assert } from "@std/assert";
import { FRAME_REASONS } from "../../runtime/protocol/frame_reason.ts";
import { CONTROLS, MESSAGES } from "../testdata/frames.ts";
import { RPC_MESSAGES } from "../testdata/rpc_frames.ts";
import { SYNC_MESSAGES } from "../testdata/sync_frames.ts";
import { FUZZ_INPUTS, fuzzFrames } from "./frames.ts";

Deno.test("broken frames never fail a decoder, and every result comes out", () => {
  const tally = fuzzFrames(1, FUZZ_INPUTS);
  const expected = [
    "need",
    ...FRAME_REASONS,
    ...MESSAGES.map(({ message }) => message.kind),
    ...SYNC_MESSAGES.map(([, message]) => message.kind),
    ...RPC_MESSAGES.map(({ message }) => message.kind),
    ...CONTROLS.map(([, control]) => control.kind),
  ];
  for (const name of expected) assert(tally.has(name), `no input led to ${name}`);
});
