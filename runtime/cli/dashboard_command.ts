/**
 * `mod.ts --dashboard`: beside a node that hosts the directory, or, with `--directory-address`, for
 * a cluster that is there, or will be.
 */

import type { Address } from "../address.ts";
import { findLibrary } from "../../ffi/embedded.ts";
import { readKey } from "../settings/key.ts";
import type { Settings } from "../settings/types.ts";
import { type Dashboard, serveDashboard } from "./dashboard.ts";
import { Feed } from "./dashboard_feed.ts";
import type { DashboardAddress } from "./dashboard_flag.ts";

/**
 * Serves a dashboard.
 *
 * @param settings Of a node of the cluster, for its key.
 * @param at Where to serve it.
 * @param directory Returns where the directory listens; `undefined` while that is not known.
 * @returns The dashboard.
 * @throws {TdsmError} As `serveDashboard`, or why the key cannot be used.
 */
export async function openDashboard(
  settings: Settings,
  at: DashboardAddress,
  directory: () => Address | undefined,
): Promise<Dashboard> {
  const read = await readKey(settings.key);
  using owned = new DisposableStack();
  // Only a connection that is sealed needs the library.
  const library = read && owned.use(await findLibrary({ path: settings.library }));
  const secret = read && library && { ...read, plain: settings.plain, library };
  const dashboard = await serveDashboard(at, new Feed({ directory, secret }));
  const kept = owned.move();
  return {
    ...dashboard,
    async [Symbol.asyncDispose]() {
      await dashboard[Symbol.asyncDispose]();
      kept.dispose();
    },
  };
}

/**
 * Serves a dashboard of a cluster, until a signal ends the process.
 *
 * @param settings Of a node that would join the cluster.
 * @param directory Where its directory listens.
 * @param at Where to serve the dashboard.
 * @param tell Tells the user where it is.
 * @throws {TdsmError} As {@linkcode openDashboard}.
 */
export async function watchCluster(
  settings: Settings,
  directory: Address,
  at: DashboardAddress,
  tell: (url: string) => Promise<void>,
): Promise<void> {
  await using dashboard = await openDashboard(settings, at, () => directory);
  await tell(dashboard.url);
  await dashboard.finished;
}
