/** Environment variables of a test's own process. */

/**
 * Sets variables for a while.
 *
 * @param variables Their names and texts.
 * @returns Takes them away again.
 */
export function withVariables(variables: Readonly<Record<string, string>>): Disposable {
  for (const [name, text] of Object.entries(variables)) Deno.env.set(name, text);
  return {
    [Symbol.dispose]() {
      for (const name of Object.keys(variables)) Deno.env.delete(name);
    },
  };
}
