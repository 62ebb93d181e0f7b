/**
 * The Worker of a process of the prototype: an owner, or an requester that the program tells of
 * rounds.
 */

import { viewMemory } from "../../ffi/native_values.ts";
import * as deno from "./deno_engine.ts";
import {
  checked,
  END_PAGE,
  type Native,
  openNative,
  PAGE_BYTES,
  type Round,
  Waiting,
} from "./native.ts";
import * as own from "./own_engine.ts";

/** What an engine's Worker is told first. */
export interface EngineStart {
  /** Where the library is. */
  readonly library: string;
  /** Whose sockets it uses. */
  readonly sockets: "deno" | "own";
  /** Where the owner listens; the owner itself has none. */
  readonly port?: number;
}

/** What an engine's Worker says. */
export type EngineNews =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "connected"; readonly windowAddress: bigint }
  | { readonly kind: "begun" }
  | { readonly kind: "over" }
  | { readonly kind: "ended" };

declare const self: DedicatedWorkerGlobalScope & typeof globalThis;
type DedicatedWorkerGlobalScope = {
  postMessage(news: EngineNews): void;
  onmessage: ((event: MessageEvent) => void) | null;
};

const say = (news: EngineNews): void => self.postMessage(news);

function open(native: Native): { windowAddress: bigint; alias: Uint8Array } {
  const addresses = new BigUint64Array(2);
  checked(native.native_open(addresses));
  checked(native.native_fill());
  return {
    windowAddress: addresses[0]!,
    alias: viewMemory(addresses[1]!, (END_PAGE + 1) * PAGE_BYTES),
  };
}

async function start(native: Native, { sockets, port }: EngineStart): Promise<void> {
  const { alias, windowAddress } = open(native);
  if (port === undefined) {
    const words = new Uint32Array(alias.buffer, alias.byteOffset, alias.length / 4);
    for (let page = 0; page < END_PAGE; page++) words[page * (PAGE_BYTES / 4)] = page + 1;
    const listening = (port: number): void => say({ kind: "listening", port });
    await (sockets === "own" ? own.own(native, listening) : deno.own(native, alias, listening));
    return say({ kind: "ended" });
  }
  const requester = sockets === "own"
    ? await own.OwnAsker.connect(native, port)
    : await deno.DenoAsker.connect(native, alias, port);
  const obey = async (round: Round): Promise<void> => {
    checked(native.native_clear());
    await requester.agree(round.waiting);
    say({ kind: "begun" });
    await requester.serve(round);
    alias[END_PAGE * PAGE_BYTES] = 0;
    checked(native.native_install(END_PAGE, 1));
    await requester.agree(Waiting.Asleep);
    say({ kind: "over" });
  };
  self.onmessage = ({ data }) => void obey(data as Round).catch((error) => fail(native, error));
  say({ kind: "connected", windowAddress });
}

/** The program may be inside of a fault that nobody will serve now. */
function fail(native: Native, error: unknown): never {
  console.error(error);
  native.native_exit(1);
  throw error;
}

self.onmessage = ({ data }) => {
  const how = data as EngineStart;
  const native = openNative(how.library);
  start(native, how).catch((error) => fail(native, error));
};
