/**
 * The bound of a node's memory: how many pages it may keep. What the bound counts are the pages of
 * the memory file, not what the process needs for itself.
 */

import type { AvailableMemory } from "../../ffi/memory_available.ts";
import { TdsmError } from "../errors.ts";
import {
  MEMORY_PART_MIN_BYTES,
  MEMORY_RESERVE_BYTES,
  MEMORY_SHARE_DEFAULT_PERCENT,
  MEMORY_SPARE_PAGES,
} from "../limits.ts";
import type { RegionSettings } from "../wire/region_settings.ts";
import type { MemoryLimit } from "../settings/types.ts";
import { formatSize, roughSize } from "../size.ts";

/** What a limit is made of. */
export interface MemoryLimitOptions {
  /** The setting; `undefined` where none is given. */
  readonly asked: MemoryLimit | undefined;
  /** How much memory there is; `undefined` where that cannot be found out, or does not matter. */
  readonly available: AvailableMemory | undefined;
  readonly region: Pick<RegionSettings, "size" | "pageSize" | "runPages">;
}

/**
 * How much memory a node takes for pages where it is not told.
 *
 * @param availableBytes What there is.
 * @returns The limit, in bytes.
 */
export function defaultMemoryLimit(availableBytes: number): number {
  const share = availableBytes * MEMORY_SHARE_DEFAULT_PERCENT / 100;
  return Math.max(0, Math.floor(Math.min(share, availableBytes - MEMORY_RESERVE_BYTES)));
}

/**
 * How much memory each of several nodes of one machine takes for pages.
 *
 * @param availableBytes What there is for all of them.
 * @param nodes How many nodes there are.
 * @returns The limit of each, in bytes.
 */
export function partOfMemory(availableBytes: number, nodes: number): number {
  return Math.max(MEMORY_PART_MIN_BYTES, defaultMemoryLimit(availableBytes / nodes));
}

/**
 * How many pages a node may keep.
 *
 * @param options The setting, the memory that there is, and the region.
 * @returns A number of pages, at most those of the region: a node cannot keep more.
 * @throws {TdsmError} `InvalidOption` when the setting is less than a node can do with.
 */
export function memoryPages({ asked, available, region }: MemoryLimitOptions): number {
  const { size, pageSize, runPages } = region;
  const all = size / pageSize;
  const least = Math.min(all, 2 * runPages + MEMORY_SPARE_PAGES);
  const bytes = limitBytes(asked, available);
  const pages = Math.min(all, Math.floor(bytes / pageSize));
  if (pages >= least) return pages;
  // Without a setting a node starts wherever it can; that the machine has little may never matter.
  if (asked === undefined) return least;
  const given = "percent" in asked && available !== undefined
    ? `${asked.percent}% of the ${roughSize(available.bytes)} of ${available.boundBy}`
    : roughSize(bytes);
  throw new TdsmError(
    "InvalidOption",
    `Cannot keep pages in ${given}: a node needs room for two runs of ${runPages} pages of ` +
      `${formatSize(pageSize)} and ${MEMORY_SPARE_PAGES} pages more. ` +
      `Set --memory-limit (MEMORY_LIMIT) to ${formatSize(least * pageSize)} or more, or have the ` +
      "directory node set a lower --run-pages",
    { operation: "join" },
  );
}

function limitBytes(
  asked: MemoryLimit | undefined,
  available: AvailableMemory | undefined,
): number {
  if (asked !== undefined && "bytes" in asked) return asked.bytes;
  if (available === undefined) return Infinity;
  if (asked === undefined) return defaultMemoryLimit(available.bytes);
  return available.bytes * asked.percent / 100;
}
