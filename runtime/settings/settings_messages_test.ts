/**
 * What each setting says to a value that it cannot use, from each source: read it as a user would.
 */

import { assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import type { ProgramFlags } from "./flags.ts";
import { resolveSettings } from "./settings.ts";
import type { NodeOptions, Settings } from "./types.ts";
import { type SettingName, SETTINGS } from "./table.ts";

const SWITCH = ["must be true or false", "must be 1 or 0, yes or no, true or false, on or off"];
const SIZE = "must be a whole number of bytes, or one with a unit, such as 64MiB";

/**
 * What is allowed, as an option and as text; the rule of a switch has both in {@linkcode SWITCH}.
 */
const METRICS = "must be a port from 0 to 65535, HOST:PORT or otel";
const RULES: { readonly [Name in SettingName]: readonly string[] } = {
  directory: SWITCH,
  directoryAddress: [
    "must be a string",
    "must be HOST or HOST:PORT with a port from 1 to 65535",
  ],
  rendezvous: [
    "must be a string",
    "must be auto, flags, slurm, pmi, openmpi, file:PATH, etcd:URL/PREFIX or dns:NAME:PORT",
  ],
  address: ["must be a string", "must be a host name or an IP address"],
  port: ["must be a whole number from 0 to 65535"],
  rpcServer: SWITCH,
  key: [
    "must be a Uint8Array of 32 bytes, or text as --new-key prints it",
    "must be 32 bytes in base64, as --new-key prints them",
  ],
  insecure: SWITCH,
  plain: SWITCH,
  nodes: ["must be a whole number from 1 to 1024"],
  compression: SWITCH,
  checksums: SWITCH,
  size: ["must be a multiple of 4KiB from 4KiB to 1TiB", SIZE],
  pageSize: ["must be a power of two from 4KiB to 2MiB", SIZE],
  memoryLimit: [
    "must be a whole number of bytes, or text such as 2GiB or 80%",
    "must be a size such as 2GiB, or a share such as 80%",
  ],
  logLevel: ["must be a whole number from 0 to 5"],
  semLogLevel: ["must be a whole number from 0 to 5"],
  logFormat: ["must be a string", "must be text or json"],
  metrics: [METRICS, METRICS],
  trace: ["must be a string", "must be a path"],
  joinTimeoutMs: ["must be a whole number of milliseconds from 0 to 3600000"],
  pollTimeUs: ["must be a whole number of microseconds from 0 to 1000000"],
  realtime: ["must be a string", "must be auto, on or off"],
  holdTimeUs: ["must be a whole number of microseconds from 0 to 100000"],
  runPages: ["must be a whole number of pages from 1 to 128"],
  migration: SWITCH,
  homes: ["must be a string", "must be auto, directory, first-touch or spread"],
  readAhead: SWITCH,
  onError: ["must be a string", "must be abort or leave"],
  signals: SWITCH,
  atomics: SWITCH,
  library: ["must be a string", "must be a path"],
};

type Variables = Readonly<Record<string, string>>;

function resolve(
  options: unknown,
  args: readonly string[] = [],
  variables: Variables = {},
  program: ProgramFlags = { names: [] },
): { settings: Settings; rest: string[] } {
  return resolveSettings(options as NodeOptions, args, (name) => variables[name], program);
}

/** What `resolve` says, where it refuses. */
function refusal(...given: Parameters<typeof resolve>): string {
  const error: TdsmError = assertThrows(() => resolve(...given), TdsmError);
  assertEquals(error.code, "InvalidOption");
  return error.message;
}

for (const [key, { flag, environment, kind, isSecret = false }] of Object.entries(SETTINGS)) {
  const name = key as SettingName;
  const [asOption, asText = asOption] = RULES[name];
  const asFlag = kind.fromFlag === undefined ? asText : "must be a path";
  /** What is said of a source; of a value that is secret nothing but where it was. */
  const of = (shown: string, source: string) => isSecret ? source : `${shown} of ${source}`;
  const isSwitch = kind.placeholder === undefined;
  const isNumber = RULES[name].length === 1;

  Deno.test(`resolveSettings: ${name}: an option that cannot be used`, () => {
    const mistyped: [value: unknown, shown: string][] = [
      [null, "null"],
      [-1.5, "-1.5"],
      [Infinity, "Infinity"],
      [{ a: 1 }, "{ a: 1 }"],
      [10n ** 20n, "100000000000000000000n"],
    ];
    for (const [value, shown] of mistyped) {
      const said = `Cannot use ${of(shown, `option ${name}`)}: it ${asOption}`;
      assertEquals(refusal({ [name]: value }), said);
    }
    const text = isSwitch ? asOption : isNumber ? `${asOption}, not a string` : asText;
    assertEquals(
      refusal({ [name]: "" }),
      `Cannot use ${of("an empty string", `option ${name}`)}: it ${text}`,
    );
    assertEquals(
      refusal({ [name]: "a\0b" }),
      `Cannot use ${of('"a\\u0000b"', `option ${name}`)}: it ${text}`,
    );
  });

  Deno.test(`resolveSettings: ${name}: a flag that cannot be used`, () => {
    const wrong = "a\0b";
    assertEquals(
      refusal({}, [`--${flag}=${wrong}`]),
      `Cannot use "a\\u0000b" of flag --${flag}: it ${asFlag}`,
    );
    if (isSwitch) {
      assertEquals(
        refusal({}, [`--${flag}=`]),
        `Cannot use flag --${flag} with an empty value: write it alone, or with 1 or 0`,
      );
      assertEquals(
        refusal({}, [`--no-${flag}=1`]),
        `Cannot use flag --no-${flag} with a value: write it alone, or --${flag}=0`,
      );
      // The last of several counts.
      const at = { directoryAddress: "a" };
      assertEquals(resolve(at, [`--no-${flag}`, `--${flag}`]).settings[name], name !== "directory");
      assertEquals(resolve(at, [`--${flag}`, `--no-${flag}`]).settings[name], false);
      return;
    }
    const missing = `Cannot use flag --${flag} without a value: it ${asFlag}`;
    for (const args of [[`--${flag}`], [`--${flag}=`], [`--${flag}`, ""]]) {
      assertEquals(refusal({}, args), missing);
    }
    for (const next of ["--directory", "--own", "--"]) {
      assertEquals(refusal({}, [`--${flag}`, next]), missing);
    }
    for (const negated of [`--no-${flag}`, `--no-${flag}=1`]) {
      assertEquals(
        refusal({}, [negated]),
        `Cannot use flag --no-${flag}: leave out --${flag} to have its default`,
      );
    }
  });

  Deno.test(`resolveSettings: ${name}: a variable that cannot be used`, () => {
    for (const variable of environment) {
      assertEquals(
        refusal({}, [], { [variable]: "a\0b" }),
        `Cannot use ${of('"a\\u0000b"', `environment variable ${variable}`)}: it ${asText}`,
      );
      // An empty one is as good as none.
      assertEquals(resolve({}, [], { [variable]: "" }), resolve({}));
    }
  });
}

const PROGRAM = "A flag of the program's own goes behind --, or is named in programFlags of run";

Deno.test("resolveSettings: a flag that is nearly right is refused with the right one", () => {
  const meant: [wrong: string, right: string][] = [
    ["--directory-adress", "--directory-address"],
    ["--directory-adress=127.0.0.1", "--directory-address"],
    ["--sise", "--size"],
    ["--pageSize=8KiB", "--page-size"],
    ["--joinTimeoutMs", "--join-timeout"],
    ["--LOG_LEVEL=3", "--log-level"],
    ["--no-compresion", "--no-compression"],
    ["-port", "--port"],
  ];
  for (const [wrong, right] of meant) {
    const shown = wrong.split("=")[0];
    for (const args of [[wrong], [wrong, "5"], ["file", wrong]]) {
      assertEquals(
        refusal({}, args),
        `Cannot use flag ${shown}: did you mean ${right}? ${PROGRAM}`,
      );
    }
  }
});

Deno.test("resolveSettings: a flag that is nearly right is the program's where it says so", () => {
  const args = ["--sort", "up", "--help", "--", "--sise"];
  assertEquals(
    refusal({}, args),
    `Cannot use flag --sort: did you mean --port? ${PROGRAM}`,
  );
  assertEquals(resolve({}, args, {}, { names: ["sort"] }).rest, args);
  // So is one that is a setting, which the program reads for itself.
  const { settings, rest } = resolve({}, ["--size", "5", "--port=1"], {}, { names: ["size"] });
  assertEquals([settings.port, rest], [1, ["--size", "5"]]);
});

Deno.test("resolveSettings: a program without arguments refuses what is none of its flags", () => {
  const program: ProgramFlags = { names: ["status", "help"], others: "none" };
  const refusals: [arg: string, message: string][] = [
    ["--sise", "Cannot use flag --sise: did you mean --size?"],
    ["--stats", "Cannot use --stats: did you mean --status?"],
    ["-help", "Cannot use -help: did you mean --help?"],
    ["--status=1", "Cannot use --status=1: did you mean --status?"],
    ["--colour", "Cannot use --colour: --help tells what there is"],
    ["file", "Cannot use file: --help tells what there is"],
    ["--", "Cannot use --: --help tells what there is"],
  ];
  for (const [arg, message] of refusals) assertEquals(refusal({}, [arg], {}, program), message);
  assertEquals(resolve({}, ["--port=1", "--status"], {}, program).rest, ["--status"]);
});

Deno.test("resolveSettings: a program that has named its flags refuses all others, but no arguments", () => {
  const program: ProgramFlags = { names: ["apart", "n", "help", "h"], others: "arguments" };
  const refusals: [arg: string, message: string][] = [
    ["--sise", "Cannot use flag --sise: did you mean --size?"],
    ["--appart", "Cannot use --appart: did you mean --apart?"],
    ["--appart=1", "Cannot use --appart=1: did you mean --apart?"],
    ["--foo", "Cannot use --foo: --help tells what there is"],
    ["-x", "Cannot use -x: --help tells what there is"],
  ];
  for (const [arg, message] of refusals) {
    assertEquals(refusal({}, ["file", arg], {}, program), message);
  }
  const rest = ["file", "-", "-1", "-.5", "--apart", "--apart=1", "-n", "-n=2", "--", "--foo"];
  assertEquals(resolve({}, ["--port=1", ...rest], {}, program).rest, rest);
});

Deno.test("resolveSettings: an option that is no setting is refused, and the one that was meant is named", () => {
  assertEquals(refusal({ sise: 3 }), "Cannot use option sise: did you mean size?");
  assertEquals(refusal({ "page-size": 3 }), "Cannot use option page-size: did you mean pageSize?");
  assertEquals(
    refusal({ joinTimeout: 3 }),
    "Cannot use option joinTimeout: did you mean joinTimeoutMs?",
  );
  assertEquals(
    refusal({ colour: undefined }),
    `Cannot use option colour: there is none of that name. There are ${
      Object.keys(SETTINGS).join(", ")
    }`,
  );
  assertEquals(refusal(null), "Cannot use null as options: they must be an object");
  assertEquals(refusal("port"), 'Cannot use "port" as options: they must be an object');
  assertEquals(refusal([1]), "Cannot use [ 1 ] as options: they must be an object");
});
