/**
 * Reports to a person why a program of `run`, or `mod.ts`, has failed: once, at once, and in one
 * line where the runtime knows the cause.
 */

import { isWorker } from "./one_node.ts";
import { errorText, ExitCode, TdsmError } from "../errors.ts";
import { formatJson, logFormat } from "../log.ts";

/**
 * The errors that are printed already, with the exit code of a program that does not catch them.
 */
const reported = new WeakMap<object, number>();
/** The last of them that is no object, such as a string: no map can hold such a value weakly. */
let lastValue: { readonly thrown: unknown; readonly exitCode: number } | undefined;

/**
 * The runtime's folder: stack frames in it do not help the author of a program. It is taken from a
 * stack, since there Deno decodes parts of a path that has a space, or letters that are not ASCII.
 */
const RUNTIME = /\w+:\/\/.*\/(?=[^/]*\/[^/]*:\d+:\d+)/.exec(new Error().stack ?? "")?.[0] ??
  new URL("..", import.meta.url).href;
/** The folder beside it, whose frames help no more. In a bundle there is none. */
const NATIVE = RUNTIME.replace(/\bruntime\/$/, "ffi/");

/**
 * Prints an error to stderr. A program that does not catch it afterwards ends with the exit code,
 * and without printing it once more.
 *
 * @param error What was thrown.
 * @param exitCode The exit code.
 * @param where Where it was thrown, for an error that is not the runtime's.
 */
export function report(error: unknown, exitCode: number, where: string): void {
  // In a Worker, Deno tells the main thread, which ends the program.
  if (isWorker()) return;
  printError(described(() => describe(error, exitCode, where), `${where}: `));
  // A listener that is there already is not added again.
  addEventListener("unhandledrejection", endIfReported);
  if (isObject(error)) reported.set(error, exitCode);
  else lastValue = { thrown: error, exitCode };
}

/**
 * Tells whether an error is printed already.
 *
 * @param error The error.
 * @returns The exit code that was reported for the error; `undefined` if it was not printed.
 */
export function reportedExitCode(error: unknown): number | undefined {
  if (isObject(error)) return reported.get(error);
  return lastValue !== undefined && Object.is(lastValue.thrown, error)
    ? lastValue.exitCode
    : undefined;
}

function isObject(thrown: unknown): thrown is object {
  return typeof thrown === "object" && thrown !== null || typeof thrown === "function";
}

/**
 * Prints a message to stderr, in the form of every error of the runtime: that of a line of the log
 * where the log is JSON.
 *
 * @param text The message.
 */
export function printError(text: string): void {
  if (logFormat() === "json") {
    return console.error("%s", formatJson({ level: "error", text, topic: "runtime" }));
  }
  // `console` leaves the colour out where there is no terminal, and where NO_COLOR is set.
  console.error("tdsm: %cerror%c: %s", "color: red", "", text);
}

/**
 * The reason of a failure, as other nodes print it.
 *
 * @param thrown What was thrown.
 * @returns Its name or code and its message.
 */
export function failureText(thrown: unknown): string {
  return described(() => {
    const error = causeOf(thrown);
    if (error instanceof TdsmError) return `${error.message} (${error.code})`;
    if (error instanceof Error) return `${error.name}: ${error.message}`;
    return typeof error === "string" ? error : Deno.inspect(error);
  });
}

/**
 * Nothing about what was thrown can be relied upon: its message may be a getter that throws, or its
 * name a symbol. That must not keep a node from telling others that it has failed.
 */
function described(describe: () => string, before = ""): string {
  try {
    return describe();
  } catch {
    return `${before}what was thrown cannot be described`;
  }
}

/**
 * The error that was thrown. Where an `ErrorEvent` was thrown, as by `worker.onerror = reject`,
 * that is the event's error; of an error in a Worker the main thread gets only the message.
 */
function causeOf(thrown: unknown): unknown {
  return thrown instanceof ErrorEvent ? thrown.error ?? thrown.message : thrown;
}

function describe(thrown: unknown, exitCode: number, where: string): string {
  const error = causeOf(thrown);
  if (!(error instanceof TdsmError)) {
    const colors = !Deno.noColor && Deno.stderr.isTerminal();
    if (typeof error === "string") return `${where}: ${error}`;
    return `${where}: ${withoutCallers(Deno.inspect(error, { colors }))}`;
  }
  const line = errorText(error);
  if (exitCode !== ExitCode.Program || error.code === "NodeFailed") return line;
  // The program's frames: only these distinguish one time-out from another.
  const frames = (error.stack ?? "").split("\n").filter(isFrameOfProgram);
  return [line, ...frames].join("\n");
}

function isFrameOfProgram(line: string): boolean {
  return /^ +at .*\b(?:(?:file|https?):\/\/|data:)/.test(line) && !isFrameOfRuntime(line);
}

function isFrameOfRuntime(line: string): boolean {
  return line.includes(RUNTIME) || line.includes(NATIVE);
}

/** How `Deno.inspect` begins and ends a colour, also within the path of a stack frame. */
const COLOUR_CHANGES = /\p{Cc}\[\d+m/gu;

/**
 * Leaves out the runtime's frames below the program's: they say only that `run` has called its
 * main. What stands above the program's frames stays, since the error was thrown there.
 */
function withoutCallers(text: string): string {
  let isBelow = false;
  return text.split("\n").filter((line) => {
    const plain = line.replace(COLOUR_CHANGES, "");
    const isFrame = /^ +at /.test(plain);
    isBelow = isFrame && (isBelow || isFrameOfProgram(plain));
    return !isBelow || !isFrameOfRuntime(plain);
  }).join("\n");
}

/** Deno would print the error once more, with the stack of the runtime's own code. */
function endIfReported(event: PromiseRejectionEvent): void {
  const exitCode = reportedExitCode(event.reason);
  if (exitCode === undefined || event.defaultPrevented) return;
  event.preventDefault();
  Deno.exit(exitCode);
}
