/** What a rendezvous tells of the machine on which a directory is. */

import { withFiles } from "../../ffi/machine.ts";

/** This machine, as other machines know it. */
export interface MachineName {
  /** Its host name. */
  readonly host: string;
  /** What no other machine has, and this one no more once it was started again. */
  readonly boot: string;
}

/**
 * Names this machine.
 *
 * @returns Its names, each empty where `/proc` does not tell.
 */
export function machineName(): MachineName {
  const read = (file: string): string =>
    withFiles((text) => text(`/proc/sys/kernel/${file}`))?.trim() ?? "";
  return { host: read("hostname"), boot: read("random/boot_id") };
}
