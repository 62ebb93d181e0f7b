/**
 * Ends the nodes of a launcher that was killed: a process of its own, which the launcher tells of each
 * node. The end of the pipe between the two shows that the launcher is gone.
 *
 * Nodes cannot watch the launcher themselves: they could begin only at `join`, and not while they
 * compute; and PR_SET_PDEATHSIG of the kernel needs a native call in each node before anything else.
 */

import { LAUNCH_END_MAX_MS } from "../limits.ts";

/**
 * The script of the process. It reads lines `+PID` and `-PID`. At the end of its input it sends SIGTERM
 * to the nodes that are left, and kills the process group of each node that does not end.
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
      // An event that ends the launcher, such as the closing of its terminal, must not end this process too.
      detached: true,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
  }

  /**
   * Adds a node that has started.
   *
   * @param pid The id of the node's process.
   */
  async add(pid: number): Promise<void> {
    await this.#say(`+${pid}`);
  }

  /**
   * Removes a node that has ended.
   *
   * @param pid The id of the node's process.
   */
  async remove(pid: number): Promise<void> {
    await this.#say(`-${pid}`);
  }

  async #say(line: string): Promise<void> {
    try {
      await this.#input.write(new TextEncoder().encode(`${line}\n`));
    } catch {
      // The watchdog was killed: from now on only this launcher looks after its nodes.
    }
  }

  /** Ends the watchdog, which ends the nodes that it still knows of; there should be none. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#process.status;
  }
}
