import { assert, assertRejects } from "@std/assert";
import { PACKED_REASONS, unpackPages } from "../../runtime/cluster/compression.ts";
import { NoiseError } from "../../ffi/noise.ts";
import { ChunkHomes } from "../../runtime/protocol/coherence/chunk_homes.ts";
import { HomeMoves } from "../../runtime/protocol/coherence/home_moves.ts";
import { PageCache } from "../../runtime/protocol/coherence/cache.ts";
import { decodeFrame } from "../../runtime/wire/page_frames.ts";
import { Directory } from "../../runtime/protocol/coherence/directory.ts";
import { Offset } from "../../runtime/wire/layout.ts";
import { FRAME_REASONS } from "../../runtime/wire/reason.ts";
import { refuse } from "../../runtime/wasm/binary.ts";
import { rewriteModule } from "../../runtime/wasm/rewrite.ts";
import type { RequestMessage } from "../../runtime/protocol/coherence/messages.ts";
import { CONTROLS, MESSAGES } from "../support/frames.ts";
import { RPC_MESSAGES } from "../support/rpc_frames.ts";
import { SYNC_MESSAGES } from "../support/sync_frames.ts";
import { ofIndices } from "../support/wasm_module.ts";
import { packedTarget, type Unpack } from "./compression.ts";
import { engineTarget } from "./engines.ts";
import { type Decode, frameTarget } from "./frames.ts";
import { handshakeTarget } from "./handshakes.ts";
import { sealBroken } from "./mutate.ts";
import { sealedTarget } from "./sealed.ts";
import { sealedLinkReceive, sealedLinkTarget } from "./sealed_links.ts";
import { fuzz, type Target } from "./target.ts";
import { TARGETS } from "./targets.ts";
import { type Rewrite, wasmTarget } from "./wasm_modules.ts";

const INPUTS = 200_000;
const PLANTED_INPUTS = 20_000;
const CONTROL_KINDS = CONTROLS.map(([, control]) => control.kind);
const CONTROL_REASONS = FRAME_REASONS.filter((reason) => reason.startsWith("Control"));

/** What must have come out, by target. */
const OUTCOMES: Readonly<Record<string, readonly string[]>> = {
  frame: [
    "need",
    ...FRAME_REASONS.filter((reason) =>
      !reason.startsWith("Control") && reason !== "PayloadChecksumMismatch"
    ),
    ...MESSAGES.map(({ message }) => message.kind),
    ...SYNC_MESSAGES.map(([, message]) => message.kind),
    ...RPC_MESSAGES.map(({ message }) => message.kind),
    ...CONTROL_KINDS,
  ],
  control: [...CONTROL_KINDS, ...CONTROL_REASONS],
  stream: ["end", "cut", "BadMagic", "PayloadMismatch", "HeaderChecksumMismatch"],
  packed: ["sound", ...PACKED_REASONS],
  engine: ["violation", "no violation"],
  directory: ["stranger", "member"],
  join: ["member", "ProtocolViolation", "PeerLost", "JoinRefused", "TimedOut"],
  sealed: ["FrameCorrupted", "waits"],
  "sealed link": ["FrameCorrupted", "waits"],
  "thread link": ["FrameCorrupted", "waits"],
  handshake: ["MessageTooShort", "MessageTooLong", "NotAuthentic"],
  wasm: ["rewritten", "refused"],
};

Deno.test("fuzz: broken inputs are taken or refused, and every outcome comes out", async () => {
  const tally = await fuzz(TARGETS, 1, INPUTS);
  for (const { name } of TARGETS) {
    for (const outcome of OUTCOMES[name]!) {
      assert(tally.has(`${name}: ${outcome}`), `no input led ${name} to ${outcome}`);
    }
  }
});

async function assertFound(name: string, target: Target): Promise<void> {
  const tried = () => fuzz([target], 1, PLANTED_INPUTS);
  await assertRejects(tried, Error, `, ${target.name}: `, name);
}

Deno.test("fuzz: faults planted in the decoder are found", async () => {
  const faults: Record<string, Decode> = {
    "believes a run that leaves the region": (bytes, start, end, bounds) => {
      const decoded = decodeFrame(bytes, start, end, bounds);
      const outside = decoded.kind === "malformed" && decoded.reason === "RunOutOfRegion";
      return outside ? decodeFrame(bytes, start, end, { ...bounds!, pageCount: 2 ** 33 }) : decoded;
    },
    "does not look at reserved flags": (bytes, start, end, bounds) => {
      const decoded = decodeFrame(bytes, start, end, bounds);
      if (decoded.kind !== "malformed" || decoded.reason !== "ReservedNotZero") return decoded;
      const cleared = bytes.slice();
      cleared[start + Offset.Flags] = 0;
      sealBroken(cleared.subarray(start, end));
      return decodeFrame(cleared, start, end, bounds);
    },
    "believes a header that was damaged": (bytes, start, end, bounds) => {
      const decoded = decodeFrame(bytes, start, end, bounds);
      const damaged = decoded.kind === "malformed" && decoded.reason === "HeaderChecksumMismatch";
      if (!damaged) return decoded;
      const sealed = bytes.slice();
      sealBroken(sealed.subarray(start, end));
      return decodeFrame(sealed, start, end, bounds);
    },
    "waits for bytes without a bound": (bytes, start, end, bounds) => {
      const decoded = decodeFrame(bytes, start, end, bounds);
      const long = decoded.kind === "malformed" && decoded.reason === "LengthOutOfBounds";
      return long ? { kind: "need", bytes: decoded.detail as number } : decoded;
    },
    "reads behind the end": (bytes, start, _end, bounds) =>
      decodeFrame(bytes, start, bytes.length, bounds),
  };
  for (const [name, fault] of Object.entries(faults)) await assertFound(name, frameTarget(fault));
});

Deno.test("fuzz: faults planted in what unpacks pages are found", async () => {
  const faults: Record<string, Unpack> = {
    "accepts matches from nowhere": (payload, pageSize, count, target) => {
      const reason = unpackPages(payload, pageSize, count, target);
      return reason === "BlockOffsetOutOfPage" ? undefined : reason;
    },
    "writes a byte too many": (payload, pageSize, count, target) => {
      new Uint8Array(target.buffer)[target.byteOffset + target.length] = 0;
      return unpackPages(payload, pageSize, count, target);
    },
    "loses the last byte": (payload, pageSize, count, target) => {
      const reason = unpackPages(payload, pageSize, count, target);
      target[target.length - 1] = 0;
      return reason;
    },
  };
  for (const [name, fault] of Object.entries(faults)) await assertFound(name, packedTarget(fault));
});

/** Throws where a home says what it may not. */
class Fragile extends PageCache {
  protected override surrender(...args: Parameters<PageCache["surrender"]>): void {
    const [message] = args;
    if (this.state(message.first) === 0 && message.kind === "forward") throw new Error("not here");
    super.surrender(...args);
  }
}

/** Has nodes drop what is behind the last page. */
class Gullible extends Directory {
  override request(from: number, { first, request }: RequestMessage): void {
    const count = this.options.pageCount - first + 1;
    this.outbox.send(from, { kind: "invalidate", first, count, requester: from, request });
  }
}

Deno.test("fuzz: faults planted in the engine are found", async () => {
  await assertFound(
    "throws",
    engineTarget({ PageCache: Fragile, Directory, HomeMoves, ChunkHomes }),
  );
  await assertFound(
    "leaves the region",
    engineTarget({ PageCache, Directory: Gullible, HomeMoves, ChunkHomes }),
  );
});

Deno.test("fuzz: a handshake that does not look at the payload's tag is found", async () => {
  const fault = handshakeTarget((side, message) => {
    try {
      return side.read(message);
    } catch (error) {
      if (error instanceof NoiseError && error.reason === "NotAuthentic") return new Uint8Array();
      throw error;
    }
  });
  await assertFound("a changed message was taken", fault);
});

Deno.test("fuzz: an end that takes a changed record for an empty one is found", async () => {
  const fault = sealedTarget((state, sealed, out) => {
    try {
      return state.open(sealed, out);
    } catch {
      return 1;
    }
  });
  await assertFound("takes a changed record", fault);
});

Deno.test("fuzz: a link that counts bytes of a changed record is found", async () => {
  const fault = sealedLinkTarget((first, second) => {
    try {
      return sealedLinkReceive(first, second);
    } catch {
      return 1;
    }
  });
  await assertFound("counts a changed record", fault);
});

Deno.test("fuzz: faults planted in the rewriting of modules are found", async () => {
  const faults: Record<string, Rewrite> = {
    "takes what the engine refuses": (bytes, options) => {
      try {
        return rewriteModule(bytes, options);
      } catch (error) {
        if (!(error as Error).message.includes("it is not valid")) throw error;
        return rewriteModule(ofIndices());
      }
    },
    "does not know one instruction": (bytes, options) => {
      if (bytes.includes(0xd2)) refuse("byte 1 (d2) begins an instruction that is not known");
      return rewriteModule(bytes, options);
    },
    "leaves indices as they are": (bytes, options) => {
      const module = rewriteModule(bytes, options);
      const { bytes: rewritten } = module;
      // The index behind the opcode `call`.
      const call = rewritten.lastIndexOf(0x10);
      if (call > 0) rewritten[call + 1]! += 100;
      return module;
    },
  };
  for (const [name, fault] of Object.entries(faults)) await assertFound(name, wasmTarget(fault));
});
