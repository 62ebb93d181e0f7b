/**
 * The settings that the directory node decides for every node of its cluster: the rows of the table
 * of settings with `ofCluster`. From these rows follow the fields of `hello`, in which a joining
 * node may ask for a value, and of `welcome`, in which the directory node states its values.
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

/** The names of these settings, in an order that does not depend on the order of `--help`. */
export const REGION_NAMES: readonly RegionSettingName[] = Object.entries(SETTINGS)
  .filter(([, { ofCluster }]) => ofCluster === true)
  .map(([name]) => name as RegionSettingName)
  .toSorted();

/** How each of them travels. */
export const REGION_FIELDS: RegionFields = regionFields(settingField);

/** The same for `hello`, where a node may leave out a value that it does not ask for. */
export const WANTED_FIELDS: RegionFields = regionFields((it) => optional(settingField(it)));

/** The value of such a setting. */
export type RegionValue = RegionSettings[RegionSettingName];

/** What reads such a setting; each gets only values that were read by itself. */
interface RegionSetting {
  readonly kind: Pick<Kind<RegionValue>, "fromOption">;
  readonly default: RegionValue | undefined;
}

function regionFields(
  field: (setting: RegionSetting) => FieldCodec<RegionValue>,
): RegionFields {
  const entries = REGION_NAMES.map((name) => [name, field(SETTINGS[name])] as const);
  // Each field reads what its own kind does, which is the type that the setting has.
  return Object.fromEntries(entries) as unknown as RegionFields;
}

/** A field for the values of a setting, which refuses the values that the setting refuses. */
function settingField({ kind, default: byDefault }: RegionSetting): FieldCodec<RegionValue> {
  const number = integer(0, Number.MAX_SAFE_INTEGER);
  return {
    read(value) {
      // A program may also give a size in words; nodes do not.
      const plain = typeof byDefault === "number" ? number.read(value) : value;
      if (typeof plain !== typeof byDefault) return undefined;
      try {
        return kind.fromOption(plain);
      } catch (error) {
        if (error instanceof RangeError) return undefined;
        throw error;
      }
    },
    write: (value) => typeof value === "number" ? number.write(value) : value,
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
 * The longest run: shorter than the setting where so many large pages are too many bytes for one
 * grant.
 *
 * @param runPages How many are asked for.
 * @param pageSize The page size, in bytes.
 * @returns How many there are; at least 1.
 */
export function boundRun(runPages: number, pageSize: number): number {
  return Math.max(1, Math.min(runPages, RUN_MAX_BYTES / pageSize));
}
