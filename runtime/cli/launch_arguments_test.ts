import { assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { parseLaunch } from "./launch_arguments.ts";
import type { Launch } from "./node_process.ts";

function parse(line: string, environment: Record<string, string> = {}): Launch | undefined {
  return parseLaunch(line.split(" ").filter((word) => word !== ""), (name) => environment[name]);
}

/** What `parse` says, where it refuses. */
function refusal(...given: Parameters<typeof parse>): string {
  const error: TdsmError = assertThrows(() => parse(...given), TdsmError);
  assertEquals(error.code, "InvalidOption");
  return error.message;
}

const SWITCH_RULE = "it must be 1 or 0, yes or no, true or false, on or off";
const PLAIN: Launch = {
  program: "a.ts",
  nodes: 4,
  args: [],
  denoFlags: [],
  port: 0,
  rpcServers: false,
};

Deno.test("parseLaunch: the number of nodes, in every way to write it", () => {
  for (const flag of ["-n 4", "-n4", "-n=4", "--nodes 4", "--nodes=4", "-n 3 -n 4"]) {
    assertEquals(parse(`${flag} a.ts`), PLAIN);
  }
});

Deno.test("parseLaunch: the directory's port, by a flag or from the environment", () => {
  const launch = { ...PLAIN, port: 7000 };
  for (const flag of ["--port 7000", "--port=7000"]) {
    assertEquals(parse(`${flag} -n 4 a.ts`), launch);
  }
  assertEquals(parse("-n 4 a.ts", { PORT: "7000" }), launch);
  assertEquals(parse("-n 4 --port 7000 a.ts", { PORT: "7001" }), launch);
  assertEquals(parse("-n 4 --port 0 a.ts", { PORT: "7001" }), PLAIN);
  assertEquals(parse("-n 4 a.ts", { PORT: "" }), PLAIN);
  const rule = "it must be a whole number from 0 to 65535";
  assertEquals(refusal("--port -n 4 a.ts"), `Cannot use "-n" of flag --port: ${rule}`);
  assertEquals(refusal("-n 4 --port"), `Cannot use flag --port without a value: ${rule}`);
  assertEquals(
    refusal("-n 4 a.ts", { PORT: "http" }),
    `Cannot use "http" of environment variable PORT: ${rule}`,
  );
});

Deno.test("parseLaunch: what stands after the program is the program's", () => {
  const args = ["-n", "7", "--help", "--nods", "--", "-A", "b.ts"];
  assertEquals(parse(`-n 4 a.ts ${args.join(" ")}`), { ...PLAIN, args });
  assertEquals(parse(`-n 4 -- a.ts ${args.join(" ")}`), { ...PLAIN, args });
  assertEquals(parse("-n 4 -- -a.ts"), { ...PLAIN, program: "-a.ts" });
});

Deno.test("parseLaunch: other flags before the program are Deno's, with their values", () => {
  for (
    const denoFlags of [
      ["--allow-read"],
      ["-RW", "--check"],
      ["--config", "b.json", "--v8-flags=--expose-gc"],
      ["-c", "b.json"],
      ["--lock", "--cached-only"],
      ["--seed", "1", "--location=http://a", "-L", "debug"],
    ]
  ) {
    const flags = denoFlags.join(" ");
    assertEquals(parse(`${flags} -n 4 a.ts`), { ...PLAIN, denoFlags });
    assertEquals(parse(`-n 4 ${flags} a.ts --b`), { ...PLAIN, denoFlags, args: ["--b"] });
  }
});

Deno.test("parseLaunch: a flag that would have every node only serve calls is refused", () => {
  for (const flag of ["--rpc-server", "--rpc-server=1", "--size=1MiB --rpc-server=Yes"]) {
    assertEquals(
      refusal(`-n 4 a.ts ${flag}`),
      "Cannot launch a.ts with --rpc-server behind it: node 1, too, would only serve calls. " +
        "Write ./tdsm launch --rpc-server -n 4 a.ts",
    );
  }
  for (const flag of ["--no-rpc-server", "--rpc-server=0", "-- --rpc-server"]) {
    assertEquals(parse(`-n 4 a.ts ${flag}`), { ...PLAIN, args: flag.split(" ") });
  }
});

Deno.test("parseLaunch: nodes 2 and on serve calls by the flag or the variable", () => {
  for (const flag of ["--rpc-server", "--rpc-server=1", "--rpc-server=yes", "--rpc-server=on"]) {
    assertEquals(parse(`${flag} -n 4 a.ts`), { ...PLAIN, rpcServers: true });
  }
  for (const flag of ["--no-rpc-server", "--rpc-server=0", "--rpc-server=no"]) {
    assertEquals(parse(`${flag} -n 4 a.ts`, { RPC_SERVER: "1" }), PLAIN);
  }
  assertEquals(parse("-n 4 a.ts", { RPC_SERVER: "1" }), { ...PLAIN, rpcServers: true });
  assertEquals(parse("-n 4 a.ts", { RPC_SERVER: "0" }), PLAIN);
  assertEquals(parse("-n 4 a.ts", { RPC_SERVER: "" }), PLAIN);
});

Deno.test("parseLaunch: help before the program is the launcher's", () => {
  for (const line of ["--help", "-h", "-n 4 --help a.ts"]) assertEquals(parse(line), undefined);
});

Deno.test("parseLaunch: a number of nodes that cannot be", () => {
  const rule = "it must be a whole number of nodes from 1 to 1024";
  for (const wrong of ["0", "-1", "1.5", "x", "1025", "1e3", "0x4"]) {
    for (const flag of ["-n ", "-n=", "--nodes ", "--nodes="]) {
      assertEquals(refusal(`${flag}${wrong} a.ts`), `Cannot use "${wrong}" of -n: ${rule}`);
    }
  }
  assertEquals(refusal("-n= a.ts"), `Cannot use "" of -n: ${rule}`);
  assertEquals(refusal("-n"), `Cannot use -n without a number: ${rule}`);
  assertEquals(refusal("-n a.ts"), `Cannot use "a.ts" of -n: ${rule}`);
  assertEquals(parse("-n 1024 a.ts")?.nodes, 1024);
});

Deno.test("parseLaunch: what is missing is told", () => {
  for (const line of ["", "-n 4", "-n 4 --", "-n 4 --config b.json"]) {
    assertEquals(
      refusal(line),
      "Cannot launch: no program is named. Write ./tdsm launch -n 4 program.ts",
    );
  }
  assertEquals(
    refusal("a.ts -n 4"),
    "Cannot launch a.ts: the number of nodes is missing. Write -n 4 before it",
  );
  assertEquals(
    refusal("-n 4 -"),
    "Cannot launch what stands on standard input: write it to a file",
  );
});

Deno.test("parseLaunch: machines, and what stands for ssh", () => {
  const [a, b] = [["a", 1], ["b", 2]].map(([hostname, nodes]) => (
    { destination: hostname, hostname, nodes }
  ));
  const expected = { ...PLAIN, nodes: 3, hosts: [a, b] };
  for (const line of ["--hosts a,b:2 a.ts", "--hosts=a,b:2 a.ts"]) {
    assertEquals(parse(line) as unknown, expected);
  }
  const read = parseLaunch(["--ssh", "ssh -p 2222", "--hosts", "a", "a.ts"], () => undefined);
  assertEquals(read?.ssh, ["ssh", "-p", "2222"]);
  assertEquals(
    refusal("--hosts a -n 2 a.ts").includes("with --hosts: write how many behind"),
    true,
  );
  assertEquals(refusal("--ssh x -n 2 a.ts").includes("--ssh without --hosts"), true);
  assertEquals(
    refusal("--hosts"),
    'Cannot use "" of --hosts: machines are named as a,b:2 or user@10.0.0.3:4',
  );
  assertEquals(refusal("--host a a.ts"), "Cannot use flag --host: did you mean --hosts?");
});

Deno.test("parseLaunch: a flag that is nearly right is refused with the right one", () => {
  for (
    const [wrong, right] of [
      ["--node", "nodes"],
      ["--nods=4", "nodes"],
      ["--Nodes", "nodes"],
      ["--rpcserver", "rpc-server"],
      ["--hlep", "help"],
      ["--prot", "port"],
    ]
  ) {
    assertEquals(
      refusal(`${wrong} -n 4 a.ts`),
      `Cannot use flag ${wrong}: did you mean --${right}?`,
    );
  }
  for (const wrong of ["-np", "-np4", "-np=4", "--np", "--np=4", "--n", "-nodes"]) {
    assertEquals(refusal(`${wrong} 4 a.ts`), `Cannot use flag ${wrong}: did you mean -n?`);
  }
  assertEquals(parse("--no-prompt -n 4 a.ts"), { ...PLAIN, denoFlags: ["--no-prompt"] });
  assertEquals(
    refusal("-n 4 a.ts", { RPC_SERVER: "maybe" }),
    'Cannot use "maybe" of environment variable RPC_SERVER: ' + SWITCH_RULE,
  );
  assertEquals(
    refusal("--rpc-server=maybe -n 4 a.ts"),
    'Cannot use "maybe" of flag --rpc-server: ' + SWITCH_RULE,
  );
});

Deno.test("parseLaunch: a setting before the program is told where it goes", () => {
  const rule = "it is a setting of the node. Write it behind the program, or";
  for (
    const [given, variable] of [
      ["--size 128MiB", "SIZE=128MiB"],
      ["--size=128MiB", "SIZE=128MiB"],
      ["--log-level 3", "LOGLEVEL=3"],
      ["--log-level=0", "LOGLEVEL=0"],
      ["--plain", "PLAIN=1"],
      ["--no-migration", "MIGRATION=0"],
      ["--trace --", "TDSM_TRACE=…"],
    ] as const
  ) {
    const [flag] = given.split(/[ =]/);
    for (const line of [`${given} -n 2 a.ts`, `-n 2 ${given} a.ts`]) {
      const expected =
        `Cannot use flag ${flag} before the program: ${rule} ${variable} before ./tdsm launch`;
      assertEquals(refusal(line), expected);
    }
  }
  for (const line of ["--rendezvous pmi", "--address=10.0.0.1", "--directory-address a:1"]) {
    assertEquals(
      refusal(`${line} -n 2 a.ts`),
      `Cannot use flag ${line.split(/[ =]/)[0]}: the launcher itself tells each node where to join`,
    );
  }
  assertEquals(
    refusal("--sise 1GiB -n 2 a.ts"),
    "Cannot use flag --sise: did you mean --size? It goes behind the program",
  );
  assertEquals(
    refusal("--adress 10.0.0.1 -n 2 a.ts"),
    "Cannot use flag --adress: did you mean --address? " +
      "The launcher itself tells each node where to join",
  );
});

Deno.test("parseLaunch: each flag of deno run is taken", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--help=full"],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  const flags = [...text.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag!);
  assertEquals(flags.length > 40 && flags.includes("--check"), true, text);
  for (const flag of flags.filter((flag) => flag !== "--help")) {
    const given = flag === "--log-level" ? `${flag}=debug` : flag;
    const denoFlags = [given, "--no-prompt"];
    assertEquals(parse(`${denoFlags.join(" ")} -n 4 a.ts`), { ...PLAIN, denoFlags }, flag);
  }
});
