/**
 * The addresses that a name has, as the C library finds them: by `/etc/hosts`, DNS and whatever
 * else the system is set up with. Deno asks DNS alone, or tells of one address only.
 */

import { cString } from "./native_values.ts";

const SYMBOLS = {
  // A look-up may take long: it waits in a thread of Deno's pool.
  getaddrinfo: {
    parameters: ["buffer", "pointer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  getnameinfo: {
    parameters: ["pointer", "u32", "buffer", "u32", "pointer", "u32", "i32"],
    result: "i32",
  },
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
  gai_strerror: { parameters: ["i32"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `struct addrinfo`, of a 64-bit system. */
const AddrInfo = { SockType: 8, AddrLength: 16, Address: 24, Next: 40, Bytes: 48 } as const;
const SOCK_STREAM = 1;
const NI_NUMERICHOST = 1;
/** The longest address in numbers, with the name of an interface. */
const HOST_BYTES = 1025;

/**
 * Looks up a name.
 *
 * @param name The name of a machine.
 * @returns Its IP addresses, each once, in the system's order.
 * @throws {Error} Why there is none, in the C library's words.
 */
export async function resolveName(name: string): Promise<string[]> {
  const c = Deno.dlopen("libc.so.6", SYMBOLS);
  try {
    return await lookUp(c.symbols, name);
  } finally {
    c.close();
  }
}

async function lookUp(
  { getaddrinfo, getnameinfo, freeaddrinfo, gai_strerror }: Deno.DynamicLibrary<
    typeof SYMBOLS
  >["symbols"],
  name: string,
): Promise<string[]> {
  const hints = new DataView(new ArrayBuffer(AddrInfo.Bytes));
  hints.setInt32(AddrInfo.SockType, SOCK_STREAM, true);
  const list = new BigUint64Array(1);
  // Another thread of the process reads and writes them meanwhile.
  const used = [cString(name), new Uint8Array(hints.buffer), new Uint8Array(list.buffer)] as const;
  const failed = await getaddrinfo(used[0], null, used[1], used[2]);
  keepUntilHere(used);
  if (failed !== 0) {
    const text = gai_strerror(failed);
    throw new Error(text === null ? `error ${failed}` : Deno.UnsafePointerView.getCString(text));
  }
  const first = Deno.UnsafePointer.create(list[0]!);
  try {
    const addresses: string[] = [];
    for (let entry = first; entry !== null;) {
      const view = new Deno.UnsafePointerView(entry);
      const length = view.getUint32(AddrInfo.AddrLength);
      const address = view.getPointer(AddrInfo.Address);
      const host = new Uint8Array(HOST_BYTES);
      const size = host.length;
      if (getnameinfo(address, length, host, size, null, 0, NI_NUMERICHOST) === 0) {
        addresses.push(new TextDecoder().decode(host.subarray(0, host.indexOf(0))));
      }
      entry = view.getPointer(AddrInfo.Next);
    }
    return [...new Set(addresses)];
  } finally {
    freeaddrinfo(first);
  }
}

/** Has the collector leave what a call that goes on elsewhere uses, until it has ended. */
function keepUntilHere(_used: readonly Uint8Array[]): void {}
