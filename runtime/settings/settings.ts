/**
 * What a node is told: options of the program, flags, environment variables, defaults, in this
 * order. Every setting is one row of the table in `table.ts`; this file finds its value.
 */

import { type Address, parseHostname } from "../address.ts";
import { type Setting, type SettingName, SETTINGS } from "./table.ts";
import type { NodeOptions, Settings } from "./types.ts";
import type { TdsmError } from "../errors.ts";
import { DIRECTORY_PORT_DEFAULT, PAGE_SIZE_DEFAULT_BYTES } from "../limits.ts";
import { formatSize } from "../size.ts";
import { type Flags, type ProgramFlags, readFlags, refused } from "./flags.ts";
import { nearestName } from "./near.ts";
import { type LauncherKind, type RendezvousChoice, seenLauncher } from "./rendezvous_choice.ts";

/** Reads an environment variable; `undefined` where there is none, or none may be read. */
export type Environment = (name: string) => string | undefined;

/** A value, and where it came from. */
interface Found<Value> {
  readonly value: Value;
  /**
   * What the source has, before it is read; `undefined` where the source by its name says it all,
   * and where nobody may see it.
   */
  readonly raw: unknown;
  /** The source by name: `option size`, `flag --size`, `environment variable SIZE`. */
  readonly source: string;
  /** Which source wins: option 3, flag 2, environment 1. */
  readonly rank: number;
}

const RANK_OPTION = 3;
const RANK_FLAG = 2;
const RANK_ENVIRONMENT = 1;

const NAMES = Object.keys(SETTINGS) as SettingName[];
/** What an option may be called in error, each with the right one: `page-size` for `pageSize`. */
const OPTION_NAMES: ReadonlyMap<string, string> = new Map([
  ...NAMES.map((name) => [name, name] as const),
  ...NAMES.map((name) => [SETTINGS[name].flag, name] as const),
]);

/**
 * Finds the value of every setting. An option beats a flag, a flag the environment, the environment
 * the default.
 *
 * A node without `directory` and `directoryAddress` hosts the directory, unless it only serves
 * calls: then it joins the one on this machine. A node with both hosts it, where `directory` comes
 * from a source at least as strong: so all nodes can share one environment, and one of them gets
 * `--directory`.
 *
 * A flag or an option that is nearly the name of a setting is refused, so that a slip is not taken
 * for a flag of the program's own; any other flag is left for the program. An option that is no
 * setting is refused always.
 *
 * @param options What the program asks for.
 * @param args The program's arguments, or `undefined` where flags are not to be read.
 * @param env Reads the environment; see {@linkcode readEnvironment}.
 * @param program The program's own flags.
 * @returns The settings, and the arguments that are none of the runtime's flags, in their order.
 * @throws {TdsmError} `InvalidOption`, naming the source, the value and what is allowed.
 */
export function resolveSettings(
  options: NodeOptions,
  args: readonly string[] | undefined,
  env: Environment,
  program: ProgramFlags = { names: [] },
): { settings: Settings; rest: string[] } {
  checkOptions(options);
  const { flags, rest } = readFlags(args ?? [], program);
  const find = <Name extends SettingName>(name: Name) => findValue(name, options, flags, env);
  const rendezvous = chooseRendezvous(
    find("rendezvous"),
    () => seenLauncher(env),
    find("directory"),
    find("directoryAddress"),
  );
  const byFlags = rendezvous.kind === "flags";
  const directoryAddress = byFlags
    ? chooseDirectory(
      find("directory"),
      find("directoryAddress"),
      find("rpcServer")?.value ?? SETTINGS.rpcServer.default,
    )
    : undefined;
  const directory = byFlags && directoryAddress === undefined;
  const port = find("port")?.value;
  const size = find("size");
  const pageSize = find("pageSize");
  checkRegion(size, pageSize, directory);
  const read = <Name extends SettingName>(name: Name): Settings[Name] => {
    const { ofCluster, default: byDefault }: Setting<Settings[Name]> = SETTINGS[name];
    const value = find(name)?.value;
    // What a joining node does not ask for is as the directory node has decided.
    return value ?? (ofCluster && !directory ? undefined as Settings[Name] : byDefault);
  };
  const settings = {
    ...Object.fromEntries(NAMES.map((name) => [name, read(name)])),
    rendezvous,
    directory,
    directoryAddress,
    port: port ?? (directory ? DIRECTORY_PORT_DEFAULT : 0),
    isPortGiven: port !== undefined,
  } as Settings;
  return { settings, rest };
}

/**
 * The settings of a node that is to host the directory, as its rendezvous has found.
 *
 * @param settings Its settings, as far as its user has said them.
 * @returns The same, with the defaults of what the directory node decides.
 */
export function asDirectory(settings: Settings): Settings {
  const decided = NAMES.filter((name) => SETTINGS[name].ofCluster && settings[name] === undefined);
  const defaults = decided.map((name) => [name, SETTINGS[name].default]);
  return { ...settings, ...Object.fromEntries(defaults), directory: true };
}

/** The variables that were looked for and may not be read, each with whether that was told. */
const unread = new Map<string, { told: boolean }>();

/**
 * Makes a reader of the environment that never prompts: a variable that may not be read is not
 * there.
 *
 * @returns The reader.
 */
export function readEnvironment(): Environment {
  return (name) => {
    const { state } = Deno.permissions.querySync({ name: "env", variable: name });
    if (state === "granted") return Deno.env.get(name);
    // One that is denied in so many words is to be left aside.
    if (state === "prompt" && !unread.has(name)) unread.set(name, { told: false });
    return undefined;
  };
}

/**
 * The variables that would count, had they been permitted to be read: no option and no flag was in
 * their place. Each is handed out once in a process.
 *
 * @returns Their names, whether they are set or not.
 */
export function takeUnread(): string[] {
  const names: string[] = [];
  for (const [name, state] of unread) {
    if (!state.told) names.push(name);
    state.told = true;
  }
  return names;
}

/**
 * Checks that every option is a setting; a program in JavaScript can give what the types forbid.
 */
function checkOptions(options: unknown): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw refused(`Cannot use ${show(options)} as options: they must be an object`);
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(SETTINGS, name)) continue;
    const near = nearestName(name, OPTION_NAMES.keys());
    const remedy = near === undefined
      ? `there is none of that name. There are ${NAMES.join(", ")}`
      : `did you mean ${OPTION_NAMES.get(near)}?`;
    throw refused(`Cannot use option ${name}: ${remedy}`);
  }
}

/** The value of one setting from the strongest source that has it. */
function findValue<Name extends SettingName>(
  name: Name,
  options: NodeOptions,
  flags: Flags,
  env: Environment,
): Found<NonNullable<Settings[Name]>> | undefined {
  const { kind, flag, environment, isSecret }: Setting<Settings[Name]> = SETTINGS[name];
  const shown = (raw: unknown): unknown => isSecret ? undefined : raw;
  const option = options[name];
  if (option !== undefined) {
    return found(`option ${name}`, RANK_OPTION, shown(option), () => kind.fromOption(option));
  }
  const given = flags[flag];
  if (given === false) {
    return found(`flag --no-${flag}`, RANK_FLAG, undefined, () => kind.fromText("0"));
  }
  if (given !== undefined) {
    const text = String(given);
    const read = () => kind.fromFlag?.(text) ?? kind.fromText(text);
    return found(`flag --${flag}`, RANK_FLAG, text, read);
  }
  for (const variable of environment) {
    const text = env(variable);
    // An empty variable is the shell's way to say that there is none.
    if (text === undefined || text === "") continue;
    const source = `environment variable ${variable}`;
    return found(source, RANK_ENVIRONMENT, shown(text), () => kind.fromText(text));
  }
  return undefined;
}

/** Reads one value; a kind throws a RangeError that says what is allowed. */
function found<Value>(source: string, rank: number, raw: unknown, read: () => Value): Found<Value> {
  try {
    return { value: read(), raw, source, rank };
  } catch (error) {
    if (error instanceof RangeError) {
      throw invalid({ source, rank, raw }, `it ${error.message}`, error);
    }
    throw error;
  }
}

/** The error that what a source has cannot be used. */
function invalid(
  { source, rank, raw }: Omit<Found<unknown>, "value">,
  reason: string,
  cause?: unknown,
): TdsmError {
  const what = raw === undefined
    ? source
    : raw !== ""
    ? `${show(raw)} of ${source}`
    : rank === RANK_OPTION
    ? `an empty string of ${source}`
    : `${source} without a value`;
  return refused(`Cannot use ${what}: ${reason}`, cause);
}

/** What a program or a user gave, as text of one line. */
function show(raw: unknown): string {
  if (typeof raw === "string") return JSON.stringify(raw);
  return Deno.inspect(raw, { depth: 1, breakLength: Infinity, colors: false });
}

/**
 * How the node finds its directory. The role that the strongest source gives it counts, unless a
 * stronger one names a rendezvous.
 */
function chooseRendezvous(
  rendezvous: Found<RendezvousChoice> | undefined,
  seen: () => LauncherKind | undefined,
  ...roles: readonly (Found<unknown> | undefined)[]
): RendezvousChoice {
  const byFlags: RendezvousChoice = { kind: "flags" };
  const [role] = roles.filter((given) => given !== undefined).sort((a, b) => b.rank - a.rank);
  if (rendezvous === undefined || rendezvous.value.kind === "auto") {
    const launcher = role === undefined ? seen() : undefined;
    return launcher === undefined ? byFlags : { kind: launcher };
  }
  if (role === undefined || role.rank < rendezvous.rank || rendezvous.value.kind === "flags") {
    return rendezvous.value;
  }
  if (role.rank > rendezvous.rank) return byFlags;
  throw invalid(rendezvous, `${role.source} says how the node finds the directory, too. Use one`);
}

/** The directory to join, or `undefined` where this node is to host it. */
function chooseDirectory(
  directory: Found<boolean> | undefined,
  address: Found<Address> | undefined,
  rpcServer: boolean,
): Address | undefined {
  if (directory?.value === true) {
    return address !== undefined && address.rank > directory.rank ? address.value : undefined;
  }
  if (address !== undefined) return address.value;
  if (!rpcServer) {
    if (directory === undefined) return undefined;
    const { flag, environment } = SETTINGS.directoryAddress;
    const names = new Map([
      [RANK_OPTION, "directoryAddress"],
      [RANK_FLAG, `--${flag}`],
      [RANK_ENVIRONMENT, environment[0]!],
    ]);
    const remedy = `Name the one to join with ${names.get(directory.rank)}`;
    throw invalid(directory, `it leaves the node without a directory. ${remedy}`);
  }
  // A node that only serves others would wait for ever at a directory of its own, which no other
  // node knows.
  return { hostname: parseHostname(SETTINGS.address.default), port: DIRECTORY_PORT_DEFAULT };
}

/** A region is whole pages; a node that joins may leave one of the two to the directory. */
function checkRegion(
  size: Found<number> | undefined,
  pageSize: Found<number> | undefined,
  directory: boolean,
): void {
  const page = pageSize?.value ?? (directory ? PAGE_SIZE_DEFAULT_BYTES : undefined);
  if (size === undefined || page === undefined || size.value % page === 0) return;
  throw invalid(size, `it must be a multiple of the page size, ${formatSize(page)}`);
}
