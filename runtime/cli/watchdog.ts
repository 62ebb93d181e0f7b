/**
 * Ends the nodes of a launcher that was killed: a process of its own, which hears of each node, and
 * knows that the launcher is gone when the pipe between them ends.
 *
 * A node could watch for that itself only from its `join` on, and not while it computes; the kernel's
 * own way (PR_SET_PDEATHSIG) needs a native call in each node before anything else.
 */

import { LAUNCH_END_MAX_MS } from "../limits.ts";

/**
 * Reads `+PID` and `-PID`, a line each. At the end of its input it asks the nodes that are left to end,
 * and kills the process group of each that does not.
 */
const SCRIPT = `
nodes=' '
while read -r line; do
  pid=\${line#?}
  case $line in
    +*) nodes="$nodes$pid " ;;
    -*) nodes="\${nodes%% $pid *} \${nodes#* $pid }" ;;
  esac
done
for pid in $nodes; do kill -s TERM "$pid"; done
seconds=0
while [ $seconds -lt ${Math.ceil(LAUNCH_END_MAX_MS / 1000)} ]; do
  left=
  for pid in $nodes; do if kill -s 0 "$pid"; then left="$left $pid"; fi; done
  [ -n "$left" ] || exit
  sleep 1
  seconds=$((seconds + 1))
done
for pid in $left; do kill -s KILL -- "-$pid"; done
`;

/** The process that outlives its launcher by as long as nodes take to end. */
export class Watchdog implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    this.#process = new Deno.Command("sh", {
      args: ["-c", SCRIPT],
      // What ends the launcher, such as a terminal that is closed, is not to end this one too.
      detached: true,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
  }

  /**
   * Hears of a node that has started.
   *
   * @param pid Its process.
   */
  async add(pid: number): Promise<void> {
    await this.#say(`+${pid}`);
  }

  /**
   * Hears of a node that has ended.
   *
   * @param pid Its process.
   */
  async remove(pid: number): Promise<void> {
    await this.#say(`-${pid}`);
  }

  async #say(line: string): Promise<void> {
    try {
      await this.#input.write(new TextEncoder().encode(`${line}\n`));
    } catch {
      // Somebody has killed it: there is no more than this launcher to look after its nodes.
    }
  }

  /** Lets go of it: it ends the nodes that it knows of, which should be none. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#process.status;
  }
}
