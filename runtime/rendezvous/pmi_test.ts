import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { LineDescriptor } from "../../ffi/descriptor.ts";
import { TdsmError } from "../errors.ts";
import { resolveSettings } from "../settings/settings.ts";
import { withVariables } from "../../tests/support/variables.ts";
import { PmiRendezvous } from "./pmi.ts";
import type { Finding, Hosting, Joining } from "./rendezvous.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SHUT_RDWR = 2;

/** A launcher's end of a descriptor, and the other one. */
class Launcher implements Disposable {
  readonly #c = Deno.dlopen("libc.so.6", {
    socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });
  readonly #ends = new Int32Array(2);
  readonly #lines: LineDescriptor;
  /** What the process has said. */
  readonly heard: string[] = [];

  constructor() {
    this.#c.symbols.socketpair(AF_UNIX, SOCK_STREAM, 0, new Uint8Array(this.#ends.buffer));
    this.#lines = new LineDescriptor(this.#ends[0]!);
  }

  /** What the launcher tells the process of this rank, of two on one machine. */
  variables(rank: number): Record<string, string> {
    return {
      PMI_FD: String(this.#ends[1]),
      PMI_RANK: String(rank),
      PMI_SIZE: "2",
      MPI_LOCALNRANKS: "2",
    };
  }

  /** Answers so many lines, by the command of each. */
  async answer(answers: readonly string[]): Promise<void> {
    for (const answer of answers) {
      this.heard.push((await this.#lines.read(60_000))!);
      this.#lines.write(answer);
    }
  }

  hangUp(): void {
    this.#c.symbols.shutdown(this.#ends[0]!, SHUT_RDWR);
  }

  [Symbol.dispose](): void {
    this.#lines[Symbol.dispose]();
    for (const end of this.#ends) this.#c.symbols.close(end);
    this.#c.close();
  }
}

const GREETING = [
  "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0",
  "cmd=my_kvsname kvsname=kvs_1",
];
const KEY = new Uint8Array(32).fill(5);

async function find(variables: Record<string, string>, waitMs = 60_000): Promise<Finding> {
  using _variables = withVariables(variables);
  const { settings } = resolveSettings({ rendezvous: "pmi" }, undefined, () => "");
  return await new PmiRendezvous().find({ settings, giveUpAtMs: performance.now() + waitMs });
}

Deno.test("PmiRendezvous: rank 0 puts its address and a key into the table, and meets the others", async () => {
  using launcher = new Launcher();
  const [found] = await Promise.all([find(launcher.variables(0)), launcher.answer(GREETING)]);
  const host = found as Hosting;
  assertEquals([host.kind, host.place, host.plain], ["host", { rank: 0, nodeCount: 2 }, true]);
  const put = "cmd=put_result rc=0 msg=success";
  await Promise.all([
    host.publish({ hostname: "127.0.0.1", port: 4000 }),
    launcher.answer([put, put, "cmd=barrier_out", "cmd=finalize_ack"]),
  ]);
  await host.withdraw();
  assertEquals(launcher.heard, [
    "cmd=init pmi_version=1 pmi_subversion=1",
    "cmd=get_my_kvsname",
    "cmd=put kvsname=kvs_1 key=tdsm-address value=127.0.0.1:4000",
    `cmd=put kvsname=kvs_1 key=tdsm-key value=${host.key!.toBase64()}`,
    "cmd=barrier_in",
    "cmd=finalize",
  ]);
});

Deno.test("PmiRendezvous: a rank 0 that cannot host has the launcher end the others", async () => {
  using launcher = new Launcher();
  const [found] = await Promise.all([find(launcher.variables(0)), launcher.answer(GREETING)]);
  await (found as Hosting).withdraw();
  await launcher.answer(["cmd=none"]);
  assertEquals(launcher.heard.at(-1), "cmd=abort exitcode=70");
});

Deno.test("PmiRendezvous: the others get both from it", async () => {
  using launcher = new Launcher();
  const got = (value: string) => `cmd=get_result rc=0 msg=success value=${value}`;
  const answers = [
    ...GREETING,
    "cmd=barrier_out",
    got("n1:4000"),
    got(KEY.toBase64()),
    "cmd=finalize_ack",
  ];
  const [found] = await Promise.all([find(launcher.variables(1)), launcher.answer(answers)]);
  const other = found as Joining;
  assertEquals(other.directories, [{ hostname: "n1", port: 4000 }]);
  assertEquals([other.key, other.plain, other.place?.rank], [KEY, false, 1]);
});

Deno.test("PmiRendezvous: a launcher that does not answer as it should is named, and bounded", async () => {
  const refusal = async (launcher: Launcher, answers: string[], waitMs?: number) => {
    const [error] = await Promise.all([
      assertRejects(() => find(launcher.variables(1), waitMs), TdsmError),
      launcher.answer(answers),
    ]);
    return error;
  };
  const by = "Cannot find the directory by PMI:";
  {
    using launcher = new Launcher();
    const error = await refusal(launcher, ["220 mail.example ready"]);
    assertEquals(error.code, "InvalidOption");
    assertEquals(
      error.message,
      `${by} the launcher answers init with "220 mail.example ready"`,
    );
  }
  {
    using launcher = new Launcher();
    const error = await refusal(launcher, ["cmd=response_to_init pmi_version=2 rc=-1"]);
    assertStringIncludes(error.message, "answers init with");
  }
  {
    using launcher = new Launcher();
    const error = await refusal(launcher, GREETING, 100);
    assertEquals(error.code, "NoDirectory");
    assertStringIncludes(error.message, "the launcher has not answered barrier_in in time");
  }
  {
    using launcher = new Launcher();
    launcher.hangUp();
    const error = await refusal(launcher, []);
    assertStringIncludes(error.message, `${by} nobody speaks PMI 1 on PMI_FD`);
  }
});

Deno.test("PmiRendezvous: what the launcher tells wrong is named", async () => {
  const variables = { PMI_FD: "1", PMI_RANK: "0", PMI_SIZE: "2", MPI_LOCALNRANKS: "1" };
  const cases: [changes: Record<string, string>, message: string][] = [
    [{ PMI_SIZE: "" }, "PMI_SIZE is not set. Start the program by mpiexec -n 4 …"],
    [{ PMI_RANK: "3" }, "PMI_RANK is 3, of 2 as PMI_SIZE says"],
    [{ PMI_FD: "" }, "PMI_FD is not set"],
    [{ PMI_FD: "987654" }, "nobody speaks PMI 1 on PMI_FD"],
  ];
  for (const [changes, message] of cases) {
    const error = await assertRejects(() => find({ ...variables, ...changes }), TdsmError);
    assertEquals(error.code, "InvalidOption");
    assertStringIncludes(error.message, `Cannot find the directory by PMI: ${message}`);
  }
});
