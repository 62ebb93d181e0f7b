/** Text for a shell of another machine, whichever it is. */

/**
 * Quotes a word for `sh`.
 *
 * @param word Any text without a NUL.
 * @returns The word, as a script has it.
 */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The command by which a login shell, be it another one than `sh`, runs a script that comes by its
 * input: what is on a command line can be read by every user of the machine. The rest of the input
 * is the script's.
 *
 * @param mark A line that no script has. It is printed at first, as login shells may print, too;
 * and it ends the script.
 * @returns The command.
 */
export function loaderCommand(mark: string): string {
  const end = `${mark}) eval "$s"; exit;;`;
  return `exec sh -c 'echo ${mark}; n=$(echo; echo .); n=\${n%.}; s=; ` +
    `while IFS= read -r l; do case $l in ${end} esac; s=$s$l$n; done'`;
}
