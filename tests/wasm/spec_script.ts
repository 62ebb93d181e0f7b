/**
 * Scripts of WebAssembly's own test suite, as `wasm-tools json-from-wast` writes them: each is run
 * with its modules as they are and with its modules rewritten, and both runs must come to the same.
 */

import { type ImportedMemory, rewriteModule } from "../../runtime/wasm/rewrite.ts";
import { TdsmError } from "../../runtime/errors.ts";

/** A value as a script has it. */
interface Value {
  readonly type: string;
  readonly value?: unknown;
}

/** What a script does with an instance. */
interface Action {
  readonly type: "invoke" | "get";
  readonly module?: string;
  readonly field: string;
  readonly args?: readonly Value[];
}

/** One step of a script. */
interface Command {
  readonly type: string;
  readonly line: number;
  readonly name?: string;
  readonly as?: string;
  readonly filename?: string;
  readonly binary_filename?: string;
  readonly module_type?: string;
  readonly instance?: string;
  readonly module?: string;
  readonly action?: Action;
}

/** How a step ended: with values, or with an error. */
type Outcome = string;

/** What came of the steps of scripts. */
export interface Count {
  /** Modules that V8 takes, and that it takes rewritten. */
  modules: number;
  /** Modules that V8 refuses, and refuses rewritten, or that are refused by the rewriting. */
  refused: number;
  /** Steps with an instance that came to the same. */
  steps: number;
  /** Steps whose values JavaScript cannot have, such as vectors. */
  unseen: number;
  /** Modules that use more than one memory, and so are not rewritten: they are no region's. */
  several: number;
}

/** Counts that are all zero. */
export function noCount(): Count {
  return { modules: 0, refused: 0, steps: 0, unseen: 0, several: 0 };
}

/** How a run gets a module. */
type Load = (bytes: Uint8Array<ArrayBuffer>) => {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory?: ImportedMemory | undefined;
};

const PAGE_BYTES = 65_536;
/** What V8 says of a function that has parameters or results which JavaScript has not. */
const UNSEEN = /type incompatibility when transforming/;

/**
 * Runs a script both ways.
 *
 * @param path The script, as JSON.
 * @param count Where to count.
 * @param rewrite What rewrites modules.
 * @throws {Error} Where the two runs differ.
 */
export function runScript(
  path: string,
  count: Count,
  rewrite: typeof rewriteModule = rewriteModule,
): void {
  const folder = path.slice(0, path.lastIndexOf("/"));
  const { commands } = JSON.parse(Deno.readTextFileSync(path)) as { commands: Command[] };
  const plain = new Run((bytes) => ({ bytes }));
  const rewritten = new Run((bytes) => rewrite(bytes, { anyMemory: true }));
  for (const command of commands) {
    const file = command.binary_filename ?? command.filename;
    const isText = command.module_type === "text" || file?.endsWith(".wat");
    if (isText || command.type === "thread" || command.type === "wait") continue;
    const bytes = file === undefined ? undefined : Deno.readFileSync(`${folder}/${file}`);
    const [one, other] = [plain.step(command, bytes), rewritten.step(command, bytes)];
    if (other.endsWith("one memory only")) {
      count.several++;
      // What follows may use the module that is not there.
      return;
    }
    if (one !== other) {
      throw new Error(`${path}, line ${command.line}, ${command.type}: ${one}, rewritten ${other}`);
    }
    if (bytes === undefined) count[UNSEEN.test(one) ? "unseen" : "steps"]++;
    else count[one === "refused" ? "refused" : "modules"]++;
  }
}

/** One run of a script. */
class Run {
  readonly #load: Load;
  readonly #host = hostModule();
  readonly #registered = new Map<string, WebAssembly.ModuleImports>();
  readonly #named = new Map<string, WebAssembly.Exports>();
  readonly #defined = new Map<string | undefined, Uint8Array<ArrayBuffer>>();
  #last: WebAssembly.Exports = {};

  constructor(load: Load) {
    this.#load = load;
    this.#registered.set("spectest", this.#host);
  }

  step(command: Command, bytes: Uint8Array<ArrayBuffer> | undefined): Outcome {
    switch (command.type) {
      case "module_definition":
        this.#defined.set(command.name, bytes!);
        return this.#compile(bytes!);
      case "module_instance":
        return this.#instantiate(this.#defined.get(command.module)!, command.instance);
      case "register":
        this.#registered.set(command.as!, this.#exports(command.name) as never);
        return "registered";
      case "assert_invalid":
      case "assert_malformed":
      case "assert_malformed_custom":
      case "assert_invalid_custom":
        return this.#compile(bytes!);
      case "assert_unlinkable":
      case "assert_uninstantiable":
        return this.#instantiate(bytes!, undefined, false);
      default:
        if (bytes !== undefined) return this.#instantiate(bytes, command.name);
        if (command.action !== undefined) return this.#act(command.action);
        throw new Error(`The step ${command.type} is not known`);
    }
  }

  #compile(bytes: Uint8Array<ArrayBuffer>): Outcome {
    try {
      return WebAssembly.validate(this.#load(bytes).bytes) ? "valid" : "refused";
    } catch (error) {
      return refusal(error);
    }
  }

  #instantiate(
    bytes: Uint8Array<ArrayBuffer>,
    name: string | undefined,
    keep = true,
  ): Outcome {
    try {
      const { bytes: loaded, memory } = this.#load(bytes);
      const module = new WebAssembly.Module(loaded);
      const { exports } = new WebAssembly.Instance(module, this.#imports(module, memory));
      if (keep) this.#last = exports;
      if (keep && name !== undefined) this.#named.set(name, exports);
      return "instance";
    } catch (error) {
      return refusal(error);
    }
  }

  #imports(module: WebAssembly.Module, type: ImportedMemory | undefined): WebAssembly.Imports {
    const imports: Record<string, WebAssembly.ModuleImports> = Object.create(null);
    for (const { module: name } of WebAssembly.Module.imports(module)) {
      const found = this.#registered.get(name);
      if (found !== undefined) imports[name] = found;
    }
    if (type?.module === "tdsm") {
      imports.tdsm = replacements(newMemory(type), type.is64);
    } else if ("tdsm" in imports || WebAssembly.Module.imports(module).some(isReplacement)) {
      const memory = type === undefined ? undefined : imports[type.module]?.[type.name];
      imports.tdsm = replacements(memory as WebAssembly.Memory | undefined, type?.is64 ?? false);
    }
    return imports;
  }

  #act({ type, module, field, args = [] }: Action): Outcome {
    const exported = this.#exports(module)[field];
    try {
      if (type === "get") return show((exported as WebAssembly.Global).value);
      return show((exported as CallableFunction)(...args.map(read)));
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  }

  #exports(name: string | undefined): WebAssembly.Exports {
    return name === undefined ? this.#last : this.#named.get(name) ?? {};
  }
}

function isReplacement({ module }: WebAssembly.ModuleImportDescriptor): boolean {
  return module === "tdsm";
}

/** An error of a module; what V8 says of places in it is of no account. */
function refusal(error: unknown): Outcome {
  if (error instanceof TdsmError) {
    return error.message.endsWith("one memory only") ? error.message : "refused";
  }
  if (error instanceof WebAssembly.CompileError) return "refused";
  if (error instanceof WebAssembly.LinkError) return "LinkError";
  // A memory that V8 cannot make for a module, it cannot make for the script either.
  if (error instanceof RangeError) return "RangeError";
  return `${(error as Error).name}: ${(error as Error).message}`;
}

function newMemory({ pages, maximum, shared, is64 }: ImportedMemory): WebAssembly.Memory {
  const number = (value: bigint): number => (is64 ? value : Number(value)) as number;
  return new WebAssembly.Memory(
    {
      initial: number(pages),
      ...(maximum === undefined ? {} : { maximum: number(maximum) }),
      shared,
      ...(is64 ? { address: "i64" } : {}),
    } as WebAssembly.MemoryDescriptor,
  );
}

/** The functions that do in one process what the replaced instructions did. */
function replacements(
  memory: WebAssembly.Memory | undefined,
  is64: boolean,
): WebAssembly.ModuleImports {
  type Address = number | bigint;
  const address = (value: Address): number =>
    Number(is64 ? BigInt.asUintN(64, value as bigint) : (value as number) >>> 0);
  const size = (): number => memory!.buffer.byteLength / PAGE_BYTES;
  const place = (at: Address, offset: Address, bytes: number): number => {
    const byte = address(at) + address(offset);
    if (byte % bytes !== 0) {
      throw new WebAssembly.RuntimeError("operation does not support unaligned accesses");
    }
    if (byte + bytes > memory!.buffer.byteLength) {
      throw new WebAssembly.RuntimeError("memory access out of bounds");
    }
    return byte / bytes;
  };
  const wait = <View extends Int32Array | BigInt64Array>(
    view: View,
    index: number,
    expected: View[number],
    timeoutNs: bigint,
  ): number => {
    if (view.buffer instanceof ArrayBuffer) {
      throw new WebAssembly.RuntimeError("Atomics.wait cannot be called in this context");
    }
    const timeoutMs = timeoutNs < 0n ? Infinity : Number(timeoutNs) / 1e6;
    const ended = Atomics.wait(view as Int32Array, index, expected as number, timeoutMs);
    return ["ok", "not-equal", "timed-out"].indexOf(ended);
  };
  return {
    ...(memory === undefined ? {} : { memory }),
    wait32: (at: Address, expected: number, timeoutNs: bigint, offset: Address) => {
      const index = place(at, offset, 4);
      return wait(new Int32Array(memory!.buffer), index, expected, timeoutNs);
    },
    wait64: (at: Address, expected: bigint, timeoutNs: bigint, offset: Address) => {
      const index = place(at, offset, 8);
      return wait(new BigInt64Array(memory!.buffer), index, expected, timeoutNs);
    },
    notify: (at: Address, count: number, offset: Address) => {
      const index = place(at, offset, 4);
      return Atomics.notify(new Int32Array(memory!.buffer), index, count >>> 0);
    },
    grow: (delta: Address) => {
      try {
        const pages = is64 ? BigInt.asUintN(64, delta as bigint) : (delta as number) >>> 0;
        return memory!.grow(pages as number);
      } catch {
        return is64 ? -1n : -1;
      }
    },
    size: () => is64 ? BigInt(size()) : size(),
  };
}

/** What scripts import from the module `spectest`. */
function hostModule(): WebAssembly.ModuleImports {
  const print = (): void => {};
  const global = (value: string, of: number | bigint): WebAssembly.Global =>
    new WebAssembly.Global({ value } as WebAssembly.GlobalDescriptor, of);
  return {
    ...Object.fromEntries(
      ["", "_i32", "_i64", "_f32", "_f64", "_i32_f32", "_f64_f64"]
        .map((types) => [`print${types}`, print]),
    ),
    global_i32: global("i32", 666),
    global_i64: global("i64", 666n),
    global_f32: global("f32", 666.6),
    global_f64: global("f64", 666.6),
    table: new WebAssembly.Table({ element: "anyfunc", initial: 10, maximum: 20 }),
    table64: new WebAssembly.Table(
      { element: "anyfunc", initial: 10n, maximum: 20n, address: "i64" } as never,
    ),
    memory: new WebAssembly.Memory({ initial: 1, maximum: 2 }),
    shared_memory: new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }),
  };
}

/** Things of the host that scripts pass by number: the same ones in both runs. */
const hosts = new Map<string, object>();

/** Makes a value of a script one of JavaScript. */
function read({ type, value }: Value): unknown {
  const text = String(value);
  switch (type) {
    case "i32":
      return Number(text) | 0;
    case "i64":
      return BigInt.asIntN(64, BigInt(text));
    case "f32":
    case "f64": {
      if (text.startsWith("nan")) return NaN;
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, BigInt(text));
      return type === "f32" ? view.getFloat32(4) : view.getFloat64(0);
    }
    default: {
      if (text === "null" || value === undefined) return null;
      const host = hosts.get(text) ?? { host: text };
      hosts.set(text, host);
      return host;
    }
  }
}

function show(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(show).join()}]`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) {
    return "host" in value ? `host ${value.host}` : "a reference";
  }
  return String(value);
}
