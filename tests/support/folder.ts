/** A folder that is there for as long as a test uses it. */

/**
 * Gives a folder to a function, and removes it with all that is in it then.
 *
 * @param use What is done with the folder's path.
 */
export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
