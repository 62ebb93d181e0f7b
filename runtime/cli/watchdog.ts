/**
 * Ends the nodes of a launcher that was killed: a process of its own. The end of the pipe between
 * the two shows that the launcher is gone.
 *
 * Nodes cannot watch the launcher themselves: they could begin only at `join`, and not while they
 * compute; and PR_SET_PDEATHSIG of the kernel needs a native call in each node before anything
 * else.
 */

import { LAUNCH_END_MAX_MS } from "../limits.ts";

/**
 * The script of the process. The first line of its input is the secret of the launcher. Then comes
 * `ended`, when all nodes have; or `signal NAME PROCESSES`, to have it send a signal, as on another
 * machine. At the end of its input it sends SIGTERM to each process whose environment has the
 * secret, and later kills those that are left, with their process groups.
 *
 * A node that the launcher was starting when it was killed is found as well: the kernel ends the
 * input only once that process, too, has closed the other end of the pipe. It does so when it is
 * given its environment, maybe a moment earlier; the second look finds the process then.
 */
export const WATCHDOG_SCRIPT = `
read -r secret || exit
while read -r word signal processes; do
  case $word in
    ended) exit ;;
    signal) kill -s "$signal" -- $processes ;;
  esac
done
# Nobody reads on: a process that printed would be ended.
exec >/dev/null 2>&1
told=' '
looks=0
while [ $looks -le ${Math.ceil(LAUNCH_END_MAX_MS / 1000)} ]; do
  [ $looks -eq 0 ] || sleep 1
  left=
  for path in $(grep -lF -e "$secret" /proc/[0-9]*/environ); do
    pid=\${path#/proc/}
    pid=\${pid%/environ}
    left="$left $pid"
    case $told in
      *" $pid "*) ;;
      *) kill -s TERM "$pid"; told="$told$pid " ;;
    esac
  done
  [ -n "$left" ] || [ $looks -eq 0 ] || exit
  looks=$((looks + 1))
done
for pid in $left; do kill -s KILL "$pid" "-$pid"; done
`;

/** The process that outlives its launcher by as long as nodes take to end. */
export class Watchdog implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    this.#process = new Deno.Command("sh", {
      args: ["-c", WATCHDOG_SCRIPT],
      // An event that ends the launcher, such as the closing of its terminal, must not end this
      // process too.
      detached: true,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
  }

  /**
   * Begins to watch.
   *
   * @param secret A text that the environment of every node will have, and of no other process.
   */
  async watch(secret: string): Promise<void> {
    // Not as an argument, which any user of the machine can read.
    await this.#say(secret);
  }

  async #say(line: string): Promise<void> {
    try {
      await this.#input.write(new TextEncoder().encode(`${line}\n`));
    } catch {
      // The watchdog was killed: from now on only the launcher looks after its nodes.
    }
  }

  /** Ends the watchdog: all nodes have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#say("ended");
    await this.#input.close().catch(() => {});
    await this.#process.status;
  }
}
