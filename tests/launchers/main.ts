/** Runs the tests of real launchers; `--install` first installs what they need. */

import { fileURLToPath } from "node:url";
import { ToolFlags } from "../support/tool_flags.ts";
import { runSuites } from "../tools/run_tests.ts";
import { install } from "./install.ts";

/** What starts nodes. */
const LAUNCHERS = ["slurm", "mpi", "dns", "ssh", "deploy", "rayon", "npm"];
/** What stands around nodes; these tests run beside the others. */
const SERVICES = ["etcd", "prometheus", "dashboard", "perfetto"];
const NAMES = [...LAUNCHERS, ...SERVICES];
const HELP = `Runs the tests of real launchers; one whose launcher is missing is ignored.

Usage: main.ts [--install | --install-only] [NAME...]

  --install       first installs what is missing, by apt-get as root and by pip
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
  const beside = [LAUNCHERS, SERVICES]
    .map((part) => part.filter((name) => names.includes(name)))
    .filter((part) => part.length > 0);
  const pathOf = (name: string) => fileURLToPath(import.meta.resolve(`./${name}.ts`));
  await runSuites([beside.map((part) => ["test", "-A", ...part.map(pathOf)])]);
}
