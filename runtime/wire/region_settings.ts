/**
 * What the directory node decides for every node of its cluster: the one list of it. From here come
 * the fields of `hello`, in which a joining node may ask for a value, and of `welcome`, in which it is
 * told. Each is also a setting of the same name.
 */

import {
  HOLD_TIME_MAX_US,
  PAGE_SIZE_MAX_BYTES,
  PAGE_SIZE_MIN_BYTES,
  REGION_MAX_BYTES,
  RUN_MAX_BYTES,
  RUN_MAX_PAGES,
} from "../limits.ts";
import { type FieldCodec, flag, integer, optional } from "./control_fields.ts";

/** What the directory node decides. */
export interface RegionSettings {
  /** The region's size, in bytes. */
  readonly size: number;
  /** The page size, in bytes. */
  readonly pageSize: number;
  /** The most pages that one request asks for. */
  readonly runPages: number;
  /** How long a node keeps a page that it was just given, in microseconds. */
  readonly holdTimeUs: number;
  /** Whether page bytes may be packed. */
  readonly compression: boolean;
  /** Whether what follows a frame has a checksum. */
  readonly checksums: boolean;
  /** Whether pages that nodes read and write in turn are handed over at the read. */
  readonly migration: boolean;
}

/** How each of them travels. */
export const REGION_FIELDS: {
  readonly [Name in keyof RegionSettings]: FieldCodec<RegionSettings[Name]>;
} = {
  size: integer(1, REGION_MAX_BYTES),
  pageSize: integer(PAGE_SIZE_MIN_BYTES, PAGE_SIZE_MAX_BYTES),
  runPages: integer(1, RUN_MAX_PAGES),
  holdTimeUs: integer(0, HOLD_TIME_MAX_US),
  compression: flag,
  checksums: flag,
  migration: flag,
};

/** Their names. */
export const REGION_NAMES = Object.keys(REGION_FIELDS) as readonly (keyof RegionSettings)[];

/** The same, where a node may leave out what it does not ask for. */
export const WANTED_FIELDS: typeof REGION_FIELDS = {
  size: optional(REGION_FIELDS.size),
  pageSize: optional(REGION_FIELDS.pageSize),
  runPages: optional(REGION_FIELDS.runPages),
  holdTimeUs: optional(REGION_FIELDS.holdTimeUs),
  compression: optional(REGION_FIELDS.compression),
  checksums: optional(REGION_FIELDS.checksums),
  migration: optional(REGION_FIELDS.migration),
};

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
