import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { KEY_BYTES, NOISE_PAYLOAD_MAX_BYTES } from "../runtime/limits.ts";
import { NOISE_OVERHEAD_BYTES } from "./abi.ts";
import { openLibrary, type TdsmLibrary } from "./library.ts";
import { NoiseError, NoiseHandshake, type NoiseReason, type Role } from "./noise.ts";
import vector from "./testdata/noise_nnpsk0.json" with { type: "json" };

const KEY = new Uint8Array(KEY_BYTES).fill(7);
const PROLOGUE = new TextEncoder().encode("prologue");
const NOTHING = new Uint8Array();

/** Seals the first message of a direction as Noise does behind the handshake. */
async function transport(
  key: Uint8Array<ArrayBuffer>,
  nonce: number,
  payload: Uint8Array<ArrayBuffer>,
) {
  const iv = new Uint8Array(12);
  iv[11] = nonce;
  const cipherKey = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  return new Uint8Array(
    await crypto.subtle.encrypt({ name: "AES-GCM", iv }, cipherKey, payload),
  );
}

/** Both sides of a handshake at its beginning. */
function pair(
  library: TdsmLibrary,
  keys: { initiator?: Uint8Array; responder?: Uint8Array } = {},
  prologues: { initiator?: Uint8Array; responder?: Uint8Array } = {},
): [initiator: NoiseHandshake, responder: NoiseHandshake] {
  const begin = (role: Role) =>
    new NoiseHandshake(library, role, keys[role] ?? KEY, prologues[role] ?? PROLOGUE);
  return [begin("initiator"), begin("responder")];
}

function assertRefused(act: () => unknown, expected: NoiseReason): void {
  assertEquals(assertThrows(act, NoiseError).reason, expected);
}

/** A step of a handshake that is over, or not there yet. */
function assertOutOfTurn(act: () => unknown): void {
  assertThrows(act, Error, "Cannot go on with a handshake that is over, or not there yet");
}

Deno.test("NoiseHandshake: the published vector, byte for byte, at both sides", async () => {
  using library = openLibrary();
  const [first, second, ...sealed] = vector.messages.map(({ payload, ciphertext }) => ({
    payload: Uint8Array.fromHex(payload),
    ciphertext: Uint8Array.fromHex(ciphertext),
  }));
  const begin = (role: Role, psk: string, prologue: string) =>
    new NoiseHandshake(library, role, Uint8Array.fromHex(psk), Uint8Array.fromHex(prologue));
  const { init_psks, init_prologue, init_ephemeral } = vector;
  const { resp_psks, resp_prologue, resp_ephemeral } = vector;
  const initiator = begin("initiator", init_psks[0]!, init_prologue);
  const responder = begin("responder", resp_psks[0]!, resp_prologue);
  const secrets = [init_ephemeral, resp_ephemeral].map((hex) => Uint8Array.fromHex(hex));
  assertEquals(initiator.write(first!.payload, secrets[0]), first!.ciphertext);
  assertEquals(responder.read(first!.ciphertext), first!.payload);
  assertEquals(responder.write(second!.payload, secrets[1]), second!.ciphertext);
  assertEquals(initiator.read(second!.ciphertext), second!.payload);
  assertEquals(initiator.hash, Uint8Array.fromHex(vector.handshake_hash));
  assertEquals(responder.hash, initiator.hash);
  for (const secret of secrets) assert(secret.every((byte) => byte === 0), "it is wiped");
  const [own, other] = [initiator.split(), responder.split()];
  assertEquals(other, { send: own.receive, receive: own.send });
  assertEquals(sealed.length, 4);
  for (const [index, { payload, ciphertext }] of sealed.entries()) {
    const key = index % 2 === 0 ? own.send : own.receive;
    assertEquals(await transport(key, Math.floor(index / 2), payload), ciphertext);
  }
});

Deno.test("NoiseHandshake: each handshake has keys of its own", () => {
  using library = openLibrary();
  const keys = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const [initiator, responder] = pair(library);
    responder.read(initiator.write(NOTHING));
    initiator.read(responder.write(NOTHING));
    const { send, receive } = initiator.split();
    keys.add(send.toHex()).add(receive.toHex());
  }
  assertEquals(keys.size, 8);
});

Deno.test("NoiseHandshake: another key and another prologue are refused at the first message", () => {
  using library = openLibrary();
  const other = KEY.with(31, 6);
  for (const [keys, prologues] of [[{ responder: other }, {}], [{}, { responder: NOTHING }]]) {
    const [initiator, responder] = pair(library, keys, prologues);
    assertRefused(() => responder.read(initiator.write(NOTHING)), "NotAuthentic");
    // It is over: nothing more is taken, and nothing sent.
    assertOutOfTurn(() => responder.write(NOTHING));
  }
});

Deno.test("NoiseHandshake: messages that come back to their sender, or again, are refused", () => {
  using library = openLibrary();
  const [initiator, responder] = pair(library);
  const first = initiator.write(NOTHING);
  responder.read(first);
  const second = responder.write(NOTHING);
  const [another] = pair(library);
  another.write(NOTHING);
  assertRefused(() => another.read(second), "NotAuthentic");
  const [reflected] = pair(library);
  assertRefused(() => reflected.read(reflected.write(NOTHING)), "NotAuthentic");
  // A first message can be sent again; but not even its keys are those of the first time.
  const [, late] = pair(library);
  late.read(first);
  late.write(NOTHING);
  initiator.read(second);
  assertNotEquals(late.split().receive, initiator.split().send);
  assertOutOfTurn(() => initiator.split());
});

Deno.test("NoiseHandshake: messages have bounds", () => {
  using library = openLibrary();
  for (const length of [0, 1, NOISE_OVERHEAD_BYTES - 1]) {
    const [, responder] = pair(library);
    assertRefused(() => responder.read(new Uint8Array(length)), "MessageTooShort");
  }
  const longest = NOISE_OVERHEAD_BYTES + NOISE_PAYLOAD_MAX_BYTES;
  const [initiator, responder] = pair(library);
  const message = initiator.write(new Uint8Array(NOISE_PAYLOAD_MAX_BYTES));
  assertEquals(message.length, longest);
  assertEquals(responder.read(message).length, NOISE_PAYLOAD_MAX_BYTES);
  const [, other] = pair(library);
  assertRefused(() => other.read(new Uint8Array(longest + 1)), "MessageTooLong");
  assertOutOfTurn(() => other.read(message));
  const tooLong = new Uint8Array(NOISE_PAYLOAD_MAX_BYTES + 1);
  assertThrows(() => other.write(tooLong), RangeError);
  const short = { initiator: KEY.slice(1) };
  assertThrows(() => pair(library, short), RangeError);
});

Deno.test("NoiseHandshake: a public key of small order is refused, though its sender has the key", async () => {
  using library = openLibrary();
  const [, responder] = pair(library);
  responder.read(await weakMessage());
  assertRefused(() => responder.write(NOTHING), "NotAuthentic");
  assertOutOfTurn(() => responder.write(NOTHING));
});

/** The first message of somebody who has the key, with a public key of zeros. */
async function weakMessage(): Promise<Uint8Array> {
  const { subtle } = crypto;
  const hash = async (...parts: Uint8Array<ArrayBuffer>[]) =>
    new Uint8Array(await subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
  const derive = async (salt: Uint8Array<ArrayBuffer>, material: Uint8Array<ArrayBuffer>) => {
    const key = await subtle.importKey("raw", material, "HKDF", false, ["deriveBits"]);
    const algorithm = { name: "HKDF", hash: "SHA-256", salt, info: NOTHING };
    const bits = new Uint8Array(await subtle.deriveBits(algorithm, key, 3 * 8 * KEY_BYTES));
    return [0, 1, 2].map((i) => bits.slice(i * KEY_BYTES, (i + 1) * KEY_BYTES));
  };
  const name = new TextEncoder().encode(vector.protocol_name);
  const weak = new Uint8Array(KEY_BYTES);
  const [chainingKey, mixed] = await derive(name, KEY);
  const said = await hash(await hash(await hash(name, PROLOGUE), mixed!), weak);
  const [, cipherKey] = await derive(chainingKey!, weak);
  const key = await subtle.importKey("raw", cipherKey!, "AES-GCM", false, ["encrypt"]);
  const algorithm = { name: "AES-GCM", iv: new Uint8Array(12), additionalData: said };
  const sealed = new Uint8Array(await subtle.encrypt(algorithm, key, NOTHING));
  return new Uint8Array([...weak, ...sealed]);
}
