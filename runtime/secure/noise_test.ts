import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { KEY_BYTES, NOISE_PAYLOAD_MAX_BYTES } from "../limits.ts";
import {
  type Ephemeral,
  MESSAGE_OVERHEAD_BYTES,
  NoiseError,
  NoiseHandshake,
  type NoiseReason,
  type Role,
} from "./noise.ts";
import vector from "./testdata/noise_nnpsk0.json" with { type: "json" };

const KEY = new Uint8Array(KEY_BYTES).fill(7);
const PROLOGUE = new TextEncoder().encode("prologue");
const NOTHING = new Uint8Array();

/** A private key as PKCS #8: what comes before its 32 bytes. */
const PKCS8_HEAD = Uint8Array.fromHex("302e020100300506032b656e04220420");

/** The key pair of a private key. */
async function ephemeralOf(privateBytes: Uint8Array): Promise<Ephemeral> {
  const { subtle } = crypto;
  const pkcs8 = new Uint8Array([...PKCS8_HEAD, ...privateBytes]);
  const privateKey = await subtle.importKey("pkcs8", pkcs8, "X25519", false, ["deriveBits"]);
  // The public half is the private one times the point of the curve whose coordinate is 9.
  const base = new Uint8Array(32).with(0, 9) as Uint8Array<ArrayBuffer>;
  const point = await subtle.importKey("raw", base, "X25519", false, []);
  const algorithm = { name: "X25519", public: point };
  const publicBytes = new Uint8Array(await subtle.deriveBits(algorithm, privateKey, 256));
  return { publicBytes, privateKey };
}

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
async function pair(
  keys: { initiator?: Uint8Array; responder?: Uint8Array } = {},
  prologues: { initiator?: Uint8Array; responder?: Uint8Array } = {},
): Promise<[initiator: NoiseHandshake, responder: NoiseHandshake]> {
  const begin = (role: Role) =>
    NoiseHandshake.begin(role, keys[role] ?? KEY, prologues[role] ?? PROLOGUE);
  return [await begin("initiator"), await begin("responder")];
}

async function assertRefused(act: Promise<unknown>, expected: NoiseReason): Promise<void> {
  const { reason } = await assertRejects(() => act, NoiseError);
  assertEquals(reason, expected);
}

Deno.test("NoiseHandshake: the published vector, byte for byte, at both sides", async () => {
  const [first, second, ...sealed] = vector.messages.map(({ payload, ciphertext }) => ({
    payload: Uint8Array.fromHex(payload),
    ciphertext: Uint8Array.fromHex(ciphertext),
  }));
  const begin = (role: Role, psk: string, prologue: string, ephemeral: string) =>
    NoiseHandshake.begin(
      role,
      Uint8Array.fromHex(psk),
      Uint8Array.fromHex(prologue),
      () => ephemeralOf(Uint8Array.fromHex(ephemeral)),
    );
  const { init_psks, init_prologue, init_ephemeral } = vector;
  const { resp_psks, resp_prologue, resp_ephemeral } = vector;
  const initiator = await begin("initiator", init_psks[0]!, init_prologue, init_ephemeral);
  const responder = await begin("responder", resp_psks[0]!, resp_prologue, resp_ephemeral);
  assertEquals(await initiator.write(first!.payload), first!.ciphertext);
  assertEquals(await responder.read(first!.ciphertext), first!.payload);
  assertEquals(await responder.write(second!.payload), second!.ciphertext);
  assertEquals(await initiator.read(second!.ciphertext), second!.payload);
  assertEquals(initiator.hash, Uint8Array.fromHex(vector.handshake_hash));
  assertEquals(responder.hash, initiator.hash);
  const [own, other] = [await initiator.split(), await responder.split()];
  assertEquals(other, { send: own.receive, receive: own.send });
  assertEquals(sealed.length, 4);
  for (const [index, { payload, ciphertext }] of sealed.entries()) {
    const key = index % 2 === 0 ? own.send : own.receive;
    assertEquals(await transport(key, Math.floor(index / 2), payload), ciphertext);
  }
});

Deno.test("NoiseHandshake: each handshake has keys of its own", async () => {
  const keys = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const [initiator, responder] = await pair();
    await responder.read(await initiator.write(NOTHING));
    await initiator.read(await responder.write(NOTHING));
    const { send, receive } = await initiator.split();
    keys.add(send.toHex()).add(receive.toHex());
  }
  assertEquals(keys.size, 8);
});

Deno.test("NoiseHandshake: another key and another prologue are refused at the first message", async () => {
  const other = KEY.with(31, 6);
  for (const [keys, prologues] of [[{ responder: other }, {}], [{}, { responder: NOTHING }]]) {
    const [initiator, responder] = await pair(keys, prologues);
    await assertRefused(responder.read(await initiator.write(NOTHING)), "NotAuthentic");
    // It is over: nothing more is taken, and nothing sent.
    await assertRejects(() => responder.write(NOTHING), Error, "The handshake is at over");
  }
});

Deno.test("NoiseHandshake: messages that come back to their sender, or again, are refused", async () => {
  const [initiator, responder] = await pair();
  const first = await initiator.write(NOTHING);
  await responder.read(first);
  const second = await responder.write(NOTHING);
  const [another] = await pair();
  await another.write(NOTHING);
  await assertRefused(another.read(second), "NotAuthentic");
  const [reflected] = await pair();
  await assertRefused(reflected.read(await reflected.write(NOTHING)), "NotAuthentic");
  // A first message can be sent again; but not even its keys are those of the first time.
  const [, late] = await pair();
  await late.read(first);
  await late.write(NOTHING);
  await initiator.read(second);
  assertNotEquals((await late.split()).receive, (await initiator.split()).send);
});

Deno.test("NoiseHandshake: messages have bounds", async () => {
  for (const length of [0, 1, MESSAGE_OVERHEAD_BYTES - 1]) {
    const [, responder] = await pair();
    await assertRefused(responder.read(new Uint8Array(length)), "MessageTooShort");
  }
  const longest = MESSAGE_OVERHEAD_BYTES + NOISE_PAYLOAD_MAX_BYTES;
  const [initiator, responder] = await pair();
  const message = await initiator.write(new Uint8Array(NOISE_PAYLOAD_MAX_BYTES));
  assertEquals(message.length, longest);
  assertEquals((await responder.read(message)).length, NOISE_PAYLOAD_MAX_BYTES);
  const [, other] = await pair();
  await assertRefused(other.read(new Uint8Array(longest + 1)), "MessageTooLong");
  const tooLong = new Uint8Array(NOISE_PAYLOAD_MAX_BYTES + 1);
  await assertRejects(() => other.write(tooLong), Error);
  await assertRejects(() => NoiseHandshake.begin("initiator", KEY.slice(1), NOTHING), RangeError);
});

Deno.test("NoiseHandshake: a public key of small order is refused", async () => {
  const weak = { publicBytes: new Uint8Array(32), privateKey: {} as CryptoKey };
  const [, responder] = await pair();
  const initiator = await NoiseHandshake.begin("initiator", KEY, PROLOGUE, async () => {
    const { privateKey } = await ephemeralOf(new Uint8Array(32).fill(1));
    return { ...weak, privateKey };
  });
  await responder.read(await initiator.write(NOTHING));
  await assertRefused(responder.write(NOTHING), "WeakEphemeral");
});
