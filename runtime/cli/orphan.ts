/** What becomes of a launcher whose `deno task` was killed. */

import { LAUNCH_ORPHAN_LOOK_MS } from "../limits.ts";
import { readEnvironment } from "../settings/settings.ts";

/**
 * Calls back when the `deno task` that started this process was killed. To its user that task is
 * the launcher, and SIGKILL is the one signal that the task cannot pass on.
 *
 * @param act What to do then.
 * @returns The timer that looks; `undefined` where no task has started this process.
 */
export function whenOrphaned(act: () => void): ReturnType<typeof setInterval> | undefined {
  // Only a task has this variable. Another parent, such as a shell, may end and leave a launcher
  // alone.
  if (!readEnvironment()("INIT_CWD")) return undefined;
  const parent = Deno.ppid;
  if (isStranger(parent)) act();
  const look = setInterval(() => {
    if (Deno.ppid === parent) return;
    clearInterval(look);
    act();
  }, LAUNCH_ORPHAN_LOOK_MS);
  return look;
}

/**
 * Whether a parent process has only adopted this one: its task was killed before this process could
 * look. Then it is of another session, while a process that leads its own session was started so;
 * or it is the first process of the machine, of whose session all may be. In a container that can
 * be a task.
 */
function isStranger(parent: number): boolean {
  const [own, theirs] = [statOf(Deno.pid), statOf(parent)];
  if (own === undefined || theirs === undefined) return false;
  if (parent === 1 && !/^(deno|node|npm)/.test(theirs.program)) return true;
  return own.session !== theirs.session && own.session !== Deno.pid;
}

/** The name of a process's program, and its session; `undefined` where they cannot be read. */
function statOf(pid: number): { program: string; session: number } | undefined {
  try {
    // The name may have any character. Behind it are state, parent, group and session.
    const [, program, session] = /\((.*)\) \S+ \d+ \d+ (\d+) /s.exec(
      Deno.readTextFileSync(`/proc/${pid}/stat`),
    )!;
    return { program: program!, session: Number(session) };
  } catch {
    return undefined;
  }
}
