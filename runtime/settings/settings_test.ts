import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { asDirectory, readEnvironment, resolveSettings } from "./settings.ts";
import type { NodeOptions, Settings } from "./types.ts";
import { settingsHelp, settingsTable } from "./help.ts";
import { type SettingName, SETTINGS } from "./table.ts";
import { TdsmError } from "../errors.ts";
import { HOLD_TIME_DEFAULT_US, POLL_TIME_DEFAULT_US } from "../limits.ts";

/** Resolves with an environment that has just `variables`. */
function resolve(
  options: NodeOptions,
  args?: readonly string[],
  variables: Record<string, string> = {},
): { settings: Settings; rest: string[] } {
  return resolveSettings(options, args, (name) => variables[name]);
}

function assertInvalid(fn: () => unknown, message: string): void {
  const error: TdsmError = assertThrows(fn, TdsmError);
  assertEquals(error.message, message);
  assertEquals(error.code, "InvalidOption");
}

Deno.test("resolveSettings: a node that is told nothing hosts the directory", () => {
  assertEquals(resolve({}).settings, {
    directory: true,
    directoryAddress: undefined,
    rendezvous: { kind: "flags" },
    address: "127.0.0.1",
    port: 9634,
    isPortGiven: false,
    rpcServer: false,
    key: undefined,
    insecure: false,
    plain: false,
    nodes: 1,
    compression: false,
    checksums: true,
    size: 64 * 1024 ** 2,
    pageSize: 4096,
    memoryLimit: undefined,
    logLevel: 2,
    semLogLevel: 2,
    logFormat: "text",
    metrics: undefined,
    trace: undefined,
    joinTimeoutMs: 10_000,
    pollTimeUs: POLL_TIME_DEFAULT_US,
    realtime: "auto",
    holdTimeUs: HOLD_TIME_DEFAULT_US,
    runPages: 128,
    migration: true,
    homes: "auto",
    readAhead: true,
    onError: "abort",
    signals: undefined,
    atomics: true,
    library: undefined,
  });
});

Deno.test("resolveSettings: a node with a directory's address joins it and leaves sizes to it", () => {
  const { settings } = resolve({ directoryAddress: "10.0.0.1" });
  assertEquals(settings.directory, false);
  assertEquals(settings.directoryAddress, { hostname: "10.0.0.1", port: 9634 });
  assertEquals(settings.port, 0);
  assertEquals(settings.size, undefined);
  assertEquals(settings.pageSize, undefined);
});

const KEY_TEXT = new Uint8Array(32).fill(7).toBase64();

// For each setting: the texts of flag and environment, the option, and what each becomes.
const SAMPLES: { [Name in SettingName]: [string, string, NodeOptions[Name], unknown[]] } = {
  directory: ["1", "1", true, [true, true, true]],
  directoryAddress: ["b:2", "[::1]", "a:1", [
    { hostname: "::1", port: 9634 },
    { hostname: "b", port: 2 },
    { hostname: "a", port: 1 },
  ]],
  rendezvous: ["file:b", "flags", "file:c", [
    { kind: "flags" },
    { kind: "file", path: "b" },
    { kind: "file", path: "c" },
  ]],
  address: ["10.0.0.2", "10.0.0.1", "[::1]", ["10.0.0.1", "10.0.0.2", "::1"]],
  port: ["2", "1", 3, [1, 2, 3]],
  rpcServer: ["0", "1", true, [true, false, true]],
  key: ["cluster.key", KEY_TEXT, new Uint8Array(32).fill(9), [
    new Uint8Array(32).fill(7),
    { file: "cluster.key" },
    new Uint8Array(32).fill(9),
  ]],
  insecure: ["0", "1", true, [true, false, true]],
  plain: ["0", "1", true, [true, false, true]],
  nodes: ["2", "1", 3, [1, 2, 3]],
  compression: ["false", "true", true, [true, false, true]],
  checksums: ["false", "true", true, [true, false, true]],
  size: ["8KiB", "4096", "1TiB", [4096, 8192, 2 ** 40]],
  pageSize: ["8KiB", "4096", 2 ** 21, [4096, 8192, 2 ** 21]],
  memoryLimit: ["80%", "2GiB", 2 ** 20, [
    { bytes: 2 ** 31 },
    { percent: 80 },
    { bytes: 2 ** 20 },
  ]],
  logLevel: ["0", "5", 1, [5, 0, 1]],
  semLogLevel: ["0", "5", 1, [5, 0, 1]],
  logFormat: ["json", "text", "text", ["text", "json", "text"]],
  metrics: ["[::1]:0", "9464", "otel", [
    { hostname: "127.0.0.1", port: 9464 },
    { hostname: "::1", port: 0 },
    "otel",
  ]],
  trace: ["b.json", "a.json", "c.json", ["a.json", "b.json", "c.json"]],
  joinTimeoutMs: ["2", "1", 0, [1, 2, 0]],
  pollTimeUs: ["2", "1", 0, [1, 2, 0]],
  realtime: ["auto", "on", "off", ["on", "auto", "off"]],
  holdTimeUs: ["2", "1", 0, [1, 2, 0]],
  runPages: ["2", "1", 3, [1, 2, 3]],
  migration: ["0", "1", true, [true, false, true]],
  homes: ["spread", "first-touch", "directory", ["first-touch", "spread", "directory"]],
  readAhead: ["0", "1", true, [true, false, true]],
  onError: ["abort", "leave", "leave", ["leave", "abort", "leave"]],
  signals: ["0", "1", true, [true, false, true]],
  atomics: ["0", "1", true, [true, false, true]],
  library: ["/b.so", "/a.so", "/c.so", ["/a.so", "/b.so", "/c.so"]],
};

for (const name of Object.keys(SETTINGS) as SettingName[]) {
  Deno.test(`resolveSettings: ${name}: an option beats a flag, a flag the environment`, () => {
    const [flagText, environmentText, option, [fromEnvironment, fromFlag, fromOption]] =
      SAMPLES[name];
    const { flag, environment } = SETTINGS[name];
    for (const variable of environment) {
      const variables = { [variable]: environmentText };
      const joined = [`--${flag}=${flagText}`];
      assertEquals(resolve({}, [], variables).settings[name], fromEnvironment);
      assertEquals(resolve({}, joined, variables).settings[name], fromFlag);
      assertEquals(resolve({ [name]: option }, joined, variables).settings[name], fromOption);
      assertEquals(resolve({ [name]: undefined }, joined, variables).settings[name], fromFlag);
      assertEquals(resolve({}, undefined, variables).settings[name], fromEnvironment);
    }
  });
}

Deno.test("resolveSettings: an empty variable is none, and the right spelling beats the old one", () => {
  assertEquals(resolve({}, [], { PORT: "", DIRECTORY_ADDRESS: "" }).settings.port, 9634);
  const both = { DIRECTORY_ADDRESS: "new", DIRECOTRY_ADDRESS: "old" };
  assertEquals(resolve({}, [], both).settings.directoryAddress?.hostname, "new");
  const old = { DIRECTORY_ADDRESS: "", DIRECOTRY_ADDRESS: "old" };
  assertEquals(resolve({}, [], old).settings.directoryAddress?.hostname, "old");
});

Deno.test("resolveSettings: flags take their value joined or apart, switches stand alone or negated", () => {
  const { settings, rest } = resolve({}, [
    "--port",
    "7000",
    "--size=1GiB",
    "--rpc-server",
    "--directory",
  ]);
  assertEquals([settings.port, settings.size, settings.rpcServer], [7000, 2 ** 30, true]);
  assertEquals(rest, []);
  const off = resolve({}, ["--no-compression"], { COMPRESSION: "1" });
  assertEquals(off.settings.compression, false);
  assertEquals(resolve({}, ["--port=1", "--port=2"]).settings.port, 2);
});

Deno.test("resolveSettings: what is no flag of the runtime is left for the program, in order", () => {
  const own = ["input.txt", "--rounds", "3", "-v", "--portable=1", "--no-cells"];
  const mixed = [own[0]!, "--port", "1", ...own.slice(1), "--directory", "--", "--size", "x"];
  assertEquals(resolve({}, mixed).rest, [...own, "--", "--size", "x"]);
  // A switch does not swallow what follows it.
  assertEquals(resolve({}, ["--directory", "true.txt"]).rest, ["true.txt"]);
  assertEquals(resolve({}, ["--directory", "true"]).rest, ["true"]);
});

Deno.test("resolveSettings: directory and address together: the stronger source decides, directory if they are equal", () => {
  const both = resolve({}, [], { DIRECTORY: "1", DIRECTORY_ADDRESS: "10.0.0.1" }).settings;
  assertEquals([both.directory, both.directoryAddress], [true, undefined]);
  const flag = resolve({}, ["--directory"], { DIRECTORY_ADDRESS: "10.0.0.1" }).settings;
  assertEquals([flag.directory, flag.directoryAddress], [true, undefined]);
  const option = resolve({ directoryAddress: "a:1" }, ["--directory"]).settings;
  assertEquals([option.directory, option.directoryAddress], [false, { hostname: "a", port: 1 }]);
  const off = resolve({}, ["--no-directory"], { DIRECTORY: "1", DIRECTORY_ADDRESS: "a" }).settings;
  assertEquals(off.directory, false);
});

Deno.test("resolveSettings: a rendezvous leaves the role open, and the stronger source decides", () => {
  const byFile = resolve({ rendezvous: "file:/shared/c" }, [], { DIRECTORY: "1" }).settings;
  assertEquals(byFile.rendezvous, { kind: "file", path: "/shared/c" });
  assertEquals([byFile.directory, byFile.directoryAddress, byFile.port], [false, undefined, 0]);
  assertEquals([byFile.size, byFile.migration], [undefined, undefined]);
  const byFlag = resolve({}, ["--directory"], { TDSM_RENDEZVOUS: "file:c" }).settings;
  assertEquals([byFlag.rendezvous.kind, byFlag.directory], ["flags", true]);
  assertInvalid(
    () => resolve({}, ["--rendezvous=file:c", "--directory-address=a"]),
    'Cannot use "file:c" of flag --rendezvous: flag --directory-address says how the node finds ' +
      "the directory, too. Use one",
  );
  assertEquals(resolve({}, ["--rendezvous=flags", "--directory"]).settings.directory, true);
  assertInvalid(
    () => resolve({}, ["--rendezvous=file:"]),
    'Cannot use "file:" of flag --rendezvous: it must have a path behind file:',
  );
  assertEquals(
    resolve({ rendezvous: "etcd:http://[::1]:2379/tdsm/job-1/" }).settings.rendezvous,
    { kind: "etcd", url: "http://[::1]:2379", prefix: "tdsm/job-1" },
  );
  assertEquals(
    resolve({ rendezvous: "dns:program-0.program:9700" }).settings.rendezvous,
    { kind: "dns", directory: { hostname: "program-0.program", port: 9700 } },
  );
  assertInvalid(
    () => resolve({ rendezvous: "dns:" }),
    'Cannot use "dns:" of option rendezvous: ' +
      "it must be HOST or HOST:PORT with a port from 1 to 65535",
  );
  for (const text of ["a:1/p", "http://a:1", "http://a:1/", "ftp://a/p", "http://a/p?q", ""]) {
    assertInvalid(
      () => resolve({ rendezvous: `etcd:${text}` }),
      `Cannot use "etcd:${text}" of option rendezvous: it must be as etcd:http://HOST:2379/PREFIX`,
    );
  }
  assertInvalid(
    () => resolve({ rendezvous: "etcd:http://me:secret@a/p" }),
    'Cannot use "etcd:http://me:secret@a/p" of option rendezvous: it must have no user: ' +
      "nodes do not log in to etcd",
  );
});

Deno.test("resolveSettings: a launcher is seen by what it sets, unless a role is given", () => {
  const kind = (variables: Record<string, string>, ...args: string[]) =>
    resolve({}, args, variables).settings.rendezvous.kind;
  const hydra = { MPI_LOCALNRANKS: "2" };
  const slurm = { SLURM_STEP_NUM_TASKS: "4" };
  assertEquals(kind(hydra), "pmi");
  assertEquals(kind(slurm), "slurm");
  assertEquals(kind({ ...slurm, ...hydra }), "pmi");
  assertEquals(kind({ ...slurm, OMPI_COMM_WORLD_SIZE: "2" }), "openmpi");
  assertEquals(kind({ SLURM_PROCID: "0", SLURM_NTASKS: "4" }), "flags");
  assertEquals(kind(slurm, "--rendezvous=auto"), "slurm");
  assertEquals(kind(slurm, "--rendezvous=flags"), "flags");
  assertEquals(kind(slurm, "--directory"), "flags");
  assertEquals(kind({ ...slurm, DIRECTORY_ADDRESS: "a" }), "flags");
});

Deno.test("asDirectory: a node that hosts has the defaults of what it was not told", () => {
  const { settings } = resolve({ rendezvous: "file:c", pageSize: "2MiB" });
  const host = asDirectory(settings);
  assertEquals([host.directory, host.size, host.pageSize], [true, 64 * 1024 ** 2, 2 ** 21]);
});

Deno.test("resolveSettings: a node that only serves joins the directory of this machine, unless it hosts it", () => {
  const server = resolve({ rpcServer: true }).settings;
  assertEquals(server.directoryAddress, { hostname: "127.0.0.1", port: 9634 });
  assertEquals(resolve({ rpcServer: true, directory: true }).settings.directory, true);
});

Deno.test("resolveSettings: a wrong value is refused, naming its source, itself and what is allowed", () => {
  assertInvalid(
    () => resolve({ size: 5000 }),
    "Cannot use 5000 of option size: it must be a multiple of 4KiB from 4KiB to 1TiB",
  );
  assertInvalid(
    () => resolve({}, ["--size", "64MB"]),
    'Cannot use "64MB" of flag --size: it must be in B, KiB, MiB, GiB or TiB, not in MB; write 64MiB',
  );
  assertInvalid(
    () => resolve({}, [], { SIZE: "2TiB" }),
    'Cannot use "2TiB" of environment variable SIZE: it must be a multiple of 4KiB from 4KiB to 1TiB',
  );
  assertInvalid(
    () => resolve({}, [], { DIRECOTRY_ADDRESS: "host:0" }),
    'Cannot use "host:0" of environment variable DIRECOTRY_ADDRESS: ' +
      "it must be HOST or HOST:PORT with a port from 1 to 65535",
  );
  assertInvalid(
    () => resolve({}, ["--port"]),
    "Cannot use flag --port without a value: it must be a whole number from 0 to 65535",
  );
  assertInvalid(
    () => resolve({}, ["--directory=maybe"]),
    'Cannot use "maybe" of flag --directory: ' +
      "it must be 1 or 0, yes or no, true or false, on or off",
  );
  assertInvalid(
    () => resolve({ address: "a:1" }),
    'Cannot use "a:1" of option address: it must be a host name or an IP address',
  );
  const long = "n".repeat(49);
  assertInvalid(
    () => resolve({ address: long }),
    `Cannot use "${long}" of option address: it must have at most 48 characters; an IP address has`,
  );
  // This one is told to nobody.
  assertEquals(resolve({ directoryAddress: long }).settings.directoryAddress?.hostname, long);
});

Deno.test("SETTINGS: every switch takes the same words, from a flag and from the environment", () => {
  const words = {
    true: ["1", "true", "yes", "on", "Yes", "ON"],
    false: ["0", "false", "no", "Off"],
  };
  for (const [name, { flag, kind, environment }] of Object.entries(SETTINGS)) {
    if (kind.placeholder !== undefined) continue;
    // So that a node which is not to host has another one to join.
    const at = { directoryAddress: "a" };
    for (const [isOn, texts] of Object.entries(words)) {
      for (const text of texts) {
        const expected = name === "directory" ? false : isOn === "true";
        const read = resolve(at, [`--${flag}=${text}`]).settings[name as SettingName];
        assertEquals(read, expected, `--${flag}=${text}`);
        const variables = { [environment[0]!]: text };
        assertEquals(resolve(at, [], variables).settings[name as SettingName], expected, text);
      }
    }
  }
  assert(resolve({}, ["--directory=yes", "--directory-address=a"]).settings.directory);
});

Deno.test("SETTINGS: every setting refuses an option of a wrong type", () => {
  for (const name of Object.keys(SETTINGS)) {
    for (const value of [null, {}, NaN, 1n]) {
      // A program in JavaScript can give what the types forbid.
      const options = { [name]: value } as unknown as NodeOptions;
      const error: TdsmError = assertThrows(() => resolve(options), TdsmError);
      assertStringIncludes(error.message, `option ${name}: it must be`);
    }
  }
});

Deno.test("SETTINGS: every number is refused just outside its bounds", () => {
  const bounds: [string, number, number, string][] = [
    ["port", 0, 65_535, ""],
    ["logLevel", 0, 5, ""],
    ["semLogLevel", 0, 5, ""],
    ["joinTimeoutMs", 0, 3_600_000, " of milliseconds"],
    ["pollTimeUs", 0, 1_000_000, " of microseconds"],
    ["holdTimeUs", 0, 100_000, " of microseconds"],
    ["runPages", 1, 128, " of pages"],
    ["nodes", 1, 1024, ""],
  ];
  for (const [name, min, max, unit] of bounds) {
    for (const value of [min, max]) {
      assertEquals(resolve({ [name]: value }).settings[name as "port"], value);
    }
    for (const value of [min - 1, max + 1, min + 0.5]) {
      assertInvalid(
        () => resolve({ [name]: value }),
        `Cannot use ${value} of option ${name}: it must be a whole number${unit} from ${min} to ${max}`,
      );
    }
  }
});

Deno.test("SETTINGS: pages are powers of two, and a region is whole pages", () => {
  for (const pageSize of [2048, 12_288, 2 ** 22, "3KiB"]) {
    assertThrows(
      () => resolve({ pageSize }),
      TdsmError,
      "must be a power of two from 4KiB to 2MiB",
    );
  }
  assertEquals(resolve({ size: "2MiB", pageSize: "2MiB" }).settings.size, 2 ** 21);
  assertInvalid(
    () => resolve({ pageSize: "2MiB" }, ["--size", "3MiB"]),
    'Cannot use "3MiB" of flag --size: it must be a multiple of the page size, 2MiB',
  );
});

Deno.test("resolveSettings: a node that is to host no directory needs one to join", () => {
  const because = "it leaves the node without a directory. Name the one to join with";
  assertInvalid(
    () => resolve({ directory: false }),
    `Cannot use false of option directory: ${because} directoryAddress`,
  );
  assertInvalid(
    () => resolve({}, ["--no-directory"]),
    `Cannot use flag --no-directory: ${because} --directory-address`,
  );
  assertInvalid(
    () => resolve({}, ["--directory=0"]),
    `Cannot use "0" of flag --directory: ${because} --directory-address`,
  );
  assertInvalid(
    () => resolve({}, [], { DIRECTORY: "false" }),
    `Cannot use "false" of environment variable DIRECTORY: ${because} DIRECTORY_ADDRESS`,
  );
  const server = resolve({}, ["--rpc-server", "--no-directory"]).settings;
  assertEquals(server.directoryAddress, { hostname: "127.0.0.1", port: 9634 });
});

Deno.test("readEnvironment reads what may be read", () => {
  const name = "TDSM_CONFIG_TEST";
  const read = readEnvironment();
  assertEquals(read(name), undefined);
  Deno.env.set(name, "there");
  try {
    assertEquals(read(name), "there");
  } finally {
    Deno.env.delete(name);
  }
});

Deno.test("readEnvironment: without --allow-env nothing is read and nothing prompts", async () => {
  const module = new URL("./settings.ts", import.meta.url).href;
  const code = `
    import { readEnvironment, resolveSettings } from ${JSON.stringify(module)};
    const { settings } = resolveSettings({}, Deno.args, readEnvironment());
    console.log(settings.port, settings.logLevel);
  `;
  const run = async (permission: string[]): Promise<string> => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", ...permission, "--ext=ts", "-", "--log-level", "4"],
      env: { PORT: "7000", LOGLEVEL: "1", NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(code));
    await writer.close();
    const { stdout, stderr } = await child.output();
    assertEquals(new TextDecoder().decode(stderr), "");
    return new TextDecoder().decode(stdout);
  };
  assertEquals(await run([]), "9634 4\n");
  assertEquals(await run(["--allow-env=PORT"]), "7000 4\n");
});

Deno.test("settingsTable: docs/settings.md has the table as it is", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/settings.md", import.meta.url));
  assertStringIncludes(page, `\n${settingsTable()}`);
});

Deno.test("settingsHelp: help and the table show every setting", () => {
  const words = (text: string): string => text.replace(/\s+/g, " ");
  for (const [name, { flag, environment, help, default: byDefault }] of Object.entries(SETTINGS)) {
    for (const text of [`--${flag}`, environment[0]!, help]) {
      assertStringIncludes(words(settingsHelp()), text);
      assertStringIncludes(settingsTable(), text);
    }
    // What is on, or on at times.
    if (byDefault === true || flag === "signals") {
      assertStringIncludes(words(settingsHelp()), `off by --no-${flag}`);
    }
    assertStringIncludes(settingsTable(), `\`${name}\``);
  }
});

Deno.test("settingsHelp: help fits into 80 columns, and what flags do stands in one column", () => {
  const help = settingsHelp([["--status", "Show the state"], ["--help", "Show this"]]);
  const lines = help.trimEnd().split("\n");
  assertEquals(lines.filter((line) => line.length > 80), []);
  const column = lines[0]!.indexOf("Host");
  for (const line of lines) {
    assertEquals(line.slice(column - 2, column), "  ", line);
    assert(line[column] !== " ", line);
  }
  assertStringIncludes(help, `  --status${" ".repeat(column - 10)}Show the state\n`);
});
