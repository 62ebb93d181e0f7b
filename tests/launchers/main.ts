/** Runs the tests of real launchers; `--install` first installs what they need. */

import { fileURLToPath } from "node:url";
import { ToolFlags } from "../support/tool_flags.ts";
import { runSuites } from "../tools/run_tests.ts";
import { install } from "./install.ts";

const NAMES = [
  "slurm",
  "mpi",
  "etcd",
  "dns",
  "ssh",
  "deploy",
  "prometheus",
  "dashboard",
  "rayon",
];
/** Those that compute, for as long as all others need, which mostly wait: these run beside them. */
const COMPUTING = ["dashboard"];
const HELP = `Runs the tests of real launchers; one whose launcher is missing is ignored.

Usage: main.ts [--install | --install-only] [NAME...]

  --install       first installs what is missing, by apt-get and as root
  --install-only  does nothing else
  NAME            ${NAMES.join(", ")}; all of them unless said`;

const flags = new ToolFlags(HELP, {
  switches: ["install", "install-only"],
  others: NAMES.length,
});
const wrong = flags.others.find((name) => !NAMES.includes(name));
if (wrong !== undefined) flags.refuse(`there are no tests of ${wrong}`);

if (flags.isSet("install") || flags.isSet("install-only")) await install();
if (!flags.isSet("install-only")) {
  const names = flags.others.length > 0 ? flags.others : NAMES;
  const suite = (
    part: readonly string[],
  ) => ["test", "-A", ...part.map((name) => fileURLToPath(import.meta.resolve(`./${name}.ts`)))];
  const [computing, waiting] = [true, false].map((computes) =>
    names.filter((name) => COMPUTING.includes(name) === computes)
  );
  await runSuites([[computing!, waiting!].filter((part) => part.length > 0).map(suite)]);
}
