/** A progress bar on the terminal, also where it is the launcher that shows stderr there. */

/** The width of the bar; with what stands around it, it fits into 80 columns. */
const WIDTH = 16;
/** How often it is drawn again, in milliseconds. */
const INTERVAL_MS = 100;
/** What is done sooner needs no bar, in milliseconds. */
const DELAY_MS = 500;

/** Whether stderr ends on a terminal: the launcher, which passes it on, says so by the variable. */
const showsProgress = Deno.stderr.isTerminal() || !!readVariable("TDSM_TERMINAL");

/**
 * Reads an environment variable, where the program may: so it needs no permission.
 *
 * @param variable Its name.
 * @returns What it has.
 */
export function readVariable(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}

/** Something that goes on. Dispose of it when it is done. */
export interface Progress extends Disposable {
  /** Draws the bar again, if it is time to: for what leaves no time to timers. */
  update(): void;
}

/** How something is measured. */
export interface Measured {
  /** How much there is. */
  readonly total: number;
  /** How much is done. */
  done(): number;
  /** Writes what is done in a second for people, such as `350 MiB`. */
  format(amount: number): string;
}

/**
 * Shows how far something is, how fast it goes on and how long it will take, as long as stderr ends
 * on a terminal.
 *
 * @param what What goes on.
 * @param measured How it is measured.
 * @returns To be disposed of at its end.
 */
export function showProgress(what: string, measured: Measured): Progress {
  if (!showsProgress) return { update() {}, [Symbol.dispose]() {} };
  const since = performance.now();
  let drawnAt = since + DELAY_MS - INTERVAL_MS;
  let isDrawn = false;
  const write = (text: string): void => {
    Deno.stderr.writeSync(new TextEncoder().encode(`\r${text}\x1b[K`));
  };
  const update = (): void => {
    const now = performance.now();
    if (now < drawnAt + INTERVAL_MS) return;
    drawnAt = now;
    isDrawn = true;
    write(describe(what, measured, now - since));
  };
  const timer = setInterval(update, INTERVAL_MS);
  return {
    update,
    [Symbol.dispose]() {
      clearInterval(timer);
      if (isDrawn) write("");
    },
  };
}

/**
 * The bar as text.
 *
 * @param what What goes on.
 * @param measured How it is measured.
 * @param ms How long it has gone on.
 * @returns One line, without its end.
 */
export function describe(what: string, { total, done, format }: Measured, ms: number): string {
  const amount = Math.min(Math.max(done(), 0), total);
  const part = total === 0 ? 1 : amount / total;
  const bar = "█".repeat(Math.round(part * WIDTH)).padEnd(WIDTH, "░");
  const share = `${what} ${bar} ${String(Math.floor(part * 100)).padStart(3)} %`;
  if (amount === 0) return share;
  const rate = amount / (ms / 1000);
  return `${share}, ${format(rate)}/s, ${duration((total - amount) / rate)} left`;
}

/** A time as people say it: `8 s`, `2 min 5 s`. */
function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
