/** A handshake with an implementation that has nothing in common with this one, in both roles. */

import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { KEY_BYTES } from "../runtime/limits.ts";
import { openLibrary } from "./library.ts";
import { NoiseHandshake, type Role } from "./noise.ts";

const PEER = fileURLToPath(new URL("./testdata/noise_peer.py", import.meta.url));
/** The release that the peer is written for. */
const PACKAGE = "noiseprotocol==0.3.1";
const PROLOGUE = new TextEncoder().encode("a prologue");
const text = (words: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(words);

/** Runs a command to its end; returns why it failed, or nothing. */
async function run(command: string, ...args: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    return success ? undefined : new TextDecoder().decode(stderr).trim().split("\n").at(-1);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `there is no ${command}`;
    throw error;
  }
}

/** Seals, or opens, the first message of a direction as Noise does behind the handshake. */
async function transport(
  way: "encrypt" | "decrypt",
  key: Uint8Array<ArrayBuffer>,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const cipherKey = await crypto.subtle.importKey("raw", key, "AES-GCM", false, [way]);
  const algorithm = { name: "AES-GCM", iv: new Uint8Array(12) };
  return new Uint8Array(await crypto.subtle[way](algorithm, cipherKey, bytes));
}

/** Shakes hands with the peer, which has the other role; both seal a message at last. */
async function shake(python: string, role: Role): Promise<void> {
  using library = openLibrary();
  const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const theirs: Role = role === "initiator" ? "responder" : "initiator";
  await using peer = new Deno.Command(python, {
    args: [PEER, theirs, key.toHex(), PROLOGUE.toHex()],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = peer.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const writer = peer.stdin.getWriter();
  let heard = "";
  const receive = async () => {
    while (!heard.includes("\n")) {
      const { value, done } = await said.read();
      assert(!done, "the peer has ended");
      heard += value;
    }
    const end = heard.indexOf("\n");
    const line = heard.slice(0, end);
    heard = heard.slice(end + 1);
    return Uint8Array.fromHex(line);
  };
  const send = (bytes: Uint8Array) => writer.write(text(`${bytes.toHex()}\n`));
  const complained = new Response(peer.stderr).text();
  try {
    const noise = new NoiseHandshake(library, role, key, PROLOGUE);
    if (role === "initiator") {
      await send(noise.write(text("first")));
      assertEquals(noise.read(await receive()), text("second of Python"));
    } else {
      assertEquals(noise.read(await receive()), text("first of Python"));
      await send(noise.write(text("second")));
    }
    const keys = noise.split();
    const opened = await transport("decrypt", keys.receive, await receive());
    assertEquals(opened, text("sealed by Python"));
    await send(await transport("encrypt", keys.send, text("sealed")));
  } finally {
    await writer.close().catch(() => {});
    await said.cancel();
    const [complaint, { code }] = await Promise.all([complained, peer.status]);
    assertEquals([code, complaint], [0, ""]);
  }
}

/** A scratch folder with the package, or why there is none. */
async function install(folder: string): Promise<string | undefined> {
  return await run("python3", "-m", "venv", folder) ??
    await run(`${folder}/bin/pip`, "install", "--quiet", "--only-binary=:all:", PACKAGE);
}

Deno.test("NoiseHandshake: hands are shaken with the Python package, in both roles", async (test) => {
  const folder = await Deno.makeTempDir({ prefix: "tdsm-noise-" });
  try {
    const obstacle = await install(folder);
    for (const role of ["initiator", "responder"] as const) {
      await test.step({
        name: `as ${role}${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
        ignore: obstacle !== undefined,
        fn: () => shake(`${folder}/bin/python`, role),
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
