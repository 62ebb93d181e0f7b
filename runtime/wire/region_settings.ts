/**
 * What the directory node decides for every node of its cluster. These are the rows of the table of
 * settings that say so; from them follow the fields of `hello`, in which a joining node may ask for a
 * value, and of `welcome`, in which it is told.
 */

import { RUN_MAX_BYTES } from "../limits.ts";
import type { Settings } from "../settings/types.ts";
import { type Kind, type RegionSettingName, SETTINGS } from "../settings/table.ts";
import { type FieldCodec, integer, optional } from "./control_fields.ts";

/** What the directory node decides. */
export type RegionSettings = {
  readonly [Name in RegionSettingName]: NonNullable<Settings[Name]>;
};

type RegionFields = {
  readonly [Name in RegionSettingName]: FieldCodec<RegionSettings[Name]>;
};

/** The names of the settings that the directory node decides, in an order that `--help` has no part in. */
export const REGION_NAMES: readonly RegionSettingName[] = Object.entries(SETTINGS)
  .filter(([, { ofCluster }]) => ofCluster === true)
  .map(([name]) => name as RegionSettingName)
  .toSorted();

/** How each of them travels. */
export const REGION_FIELDS: RegionFields = regionFields(settingField);

/** The same, where a node may leave out what it does not ask for. */
export const WANTED_FIELDS: RegionFields = regionFields((kind) => optional(settingField(kind)));

type RegionKind = Kind<number> | Kind<boolean>;

function regionFields(field: (kind: RegionKind) => FieldCodec<number | boolean>): RegionFields {
  const entries = REGION_NAMES.map((name) => [name, field(SETTINGS[name].kind)] as const);
  // Each field reads what its own kind does, which is the type that the setting has.
  return Object.fromEntries(entries) as unknown as RegionFields;
}

/** A field for the values of a setting. What the setting does not take is refused on the wire too. */
function settingField(kind: RegionKind): FieldCodec<number | boolean> {
  const number = integer(0, Number.MAX_SAFE_INTEGER);
  return {
    read(value) {
      const plain = typeof value === "boolean" ? value : number.read(value);
      if (plain === undefined) return undefined;
      try {
        return kind.fromOption(plain);
      } catch (error) {
        if (error instanceof RangeError) return undefined;
        throw error;
      }
    },
    write: (value) => typeof value === "boolean" ? value : number.write(value),
    optional: false,
  };
}

/**
 * The settings of a region among others.
 *
 * @param settings Any settings; what is `undefined` is left out.
 * @returns Those that the directory node decides.
 */
export function regionSettings(
  settings: { readonly [Name in keyof RegionSettings]: RegionSettings[Name] | undefined },
): Partial<RegionSettings> {
  const given = REGION_NAMES.filter((name) => settings[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, settings[name]]));
}

/**
 * The most pages of a run: less where so many large pages are too many bytes for one grant.
 *
 * @param runPages How many are asked for.
 * @param pageSize The page size, in bytes.
 * @returns How many there are; at least 1.
 */
export function boundRun(runPages: number, pageSize: number): number {
  return Math.max(1, Math.min(runPages, RUN_MAX_BYTES / pageSize));
}
