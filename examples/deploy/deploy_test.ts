/** The files for deployment, as far as they can be checked without what they are for. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { parseAll } from "@std/yaml/parse";
import type { Job } from "kubernetes-types/batch/v1.d.ts";
import type { StatefulSet } from "kubernetes-types/apps/v1.d.ts";
import type { EnvVar, Service } from "kubernetes-types/core/v1.d.ts";
import { resolveSettings } from "../../runtime/settings/settings.ts";
import { SETTINGS } from "../../runtime/settings/table.ts";
import { withFolder } from "../../tests/support/folder.ts";

const FOLDER = new URL("./", import.meta.url);
/** The module and the type of each kind of manifest. */
const TYPES = {
  Service: ["core/v1", "Service"],
  StatefulSet: ["apps/v1", "StatefulSet"],
  Job: ["batch/v1", "Job"],
} as const;

function read(name: string): string {
  return Deno.readTextFileSync(new URL(name, FOLDER));
}

/** The service of a file of manifests, and what makes its pods. */
function manifests(name: string): { service: Service; pods: StatefulSet | Job } {
  const all = (parseAll(read(name)) as unknown[]).filter((manifest) => manifest !== null);
  const [service, pods] = all as [Service, StatefulSet | Job];
  assertEquals([all.length, service.kind], [2, "Service"]);
  return { service, pods };
}

const KUBERNETES = ["kubernetes.yaml", "kubernetes-job.yaml"];

Deno.test("deploy: manifests have no field that Kubernetes does not know, and each that it needs", async () => {
  await withFolder(async (folder) => {
    const lines = KUBERNETES.flatMap((name) => Object.values(manifests(name))).map((it, index) => {
      const [module, type] = TYPES[it.kind as keyof typeof TYPES];
      const types = import.meta.resolve(`kubernetes-types/${module}.d.ts`);
      // Only of what is written down does the compiler refuse fields that it does not know.
      return `import type { ${type} as T${index} } from "${types}";\n` +
        `export const m${index}: T${index} = ${JSON.stringify(it)};`;
    });
    const check = async (text: string): Promise<string> => {
      await Deno.writeTextFile(`${folder}/manifests.ts`, text);
      const config = fileURLToPath(new URL("../../deno.json", FOLDER));
      const args = ["check", "--quiet", "--config", config, `${folder}/manifests.ts`];
      const command = new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } });
      return new TextDecoder().decode((await command.output()).stderr);
    };
    const text = lines.join("\n");
    assertEquals(await check(text), "");
    assertMatch(
      await check(text.replaceAll('"resources":', '"resource":')),
      /'"resource"' does not/,
    );
  });
});

for (const name of KUBERNETES) {
  Deno.test(`deploy: in ${name} each name is that of what it stands for`, () => {
    const { service, pods } = manifests(name);
    const { spec: podSpec, metadata } = pods.spec!.template;
    const [container] = podSpec!.containers;
    const isSet = pods.kind === "StatefulSet";
    const own = pods.metadata!.name!;
    const subdomain = isSet ? (pods as StatefulSet).spec!.serviceName : podSpec!.subdomain;
    assertEquals(subdomain, service.metadata!.name);
    assertEquals([service.spec!.clusterIP, service.spec!.publishNotReadyAddresses], ["None", true]);
    const labels = isSet ? metadata!.labels : { "job-name": own };
    assertEquals(service.spec!.selector as unknown, labels);
    const variables = new Map(container!.env!.map(({ name, value }: EnvVar) => [name, value]));
    const { settings } = resolveSettings({}, [], (name) => variables.get(name));
    const { rendezvous, nodes } = settings;
    assertEquals(rendezvous, {
      kind: "dns",
      directory: { hostname: `${own}-0.${subdomain}`, port: container!.ports![0]!.containerPort },
    });
    const job = pods as Job;
    const count = isSet ? (pods as StatefulSet).spec!.replicas : job.spec!.completions;
    assertEquals(nodes, count);
    if (!isSet) assertEquals([job.spec!.parallelism, job.spec!.completionMode], [count, "Indexed"]);
    const known = new Set(Object.values(SETTINGS).flatMap(({ environment }) => environment));
    assertEquals([...variables.keys()].filter((variable) => !known.has(variable)), []);
    // The key comes from a Secret, and a pod may do no more than a node needs.
    const key = container!.env!.find(({ name }) => name === "TDSM_KEY")!;
    assertEquals([key.value, key.valueFrom?.secretKeyRef?.key], [undefined, "TDSM_KEY"]);
    assertEquals(podSpec!.securityContext?.runAsNonRoot, true);
    assertEquals(container!.securityContext, {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
    });
  });
}

Deno.test("deploy: the profile of system calls has the shape of one, and lets userfaultfd be", () => {
  const ACTIONS = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"];
  const { defaultAction, architectures, syscalls, ...others } = JSON.parse(read("seccomp.json"));
  assertEquals(others, {});
  assert(ACTIONS.includes(defaultAction));
  assertEquals(architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
  const denied = new Set<string>();
  for (const { names, action, errnoRet, args = [], ...rest } of syscalls) {
    assertEquals([rest, action], [{}, "SCMP_ACT_ERRNO"]);
    assert(Number.isInteger(errnoRet) && errnoRet > 0);
    for (const name of names) {
      assertMatch(name, /^[a-z][a-z0-9_]*$/);
      if (args.length === 0) assert(!denied.has(name), `${name} stands there twice`);
      if (args.length === 0) denied.add(name);
    }
    for (const { index, value, valueTwo, op, ...more } of args) {
      assertEquals([more, index, value, op], [{}, 0, valueTwo, "SCMP_CMP_MASKED_EQ"]);
    }
  }
  const needed = ["userfaultfd", "memfd_create", "mmap", "futex", "clone", "sched_setscheduler"];
  assertEquals(needed.filter((name) => denied.has(name)), []);
  for (const name of ["mount", "ptrace", "bpf", "kexec_load", "keyctl", "setns", "unshare"]) {
    assert(denied.has(name), name);
  }
});

Deno.test("deploy: the image runs the Deno that the project is built with, and units name settings that there are", () => {
  const pinned = /^deno (.+)$/m.exec(read("../../.tool-versions"))![1];
  assertMatch(read("Containerfile"), new RegExp(`^FROM docker.io/denoland/deno:${pinned}$`, "m"));
  const known = new Set(Object.values(SETTINGS).flatMap(({ environment }) => environment));
  for (const name of ["tdsm-directory.service", "tdsm-node.service"]) {
    const unit = read(name);
    const named = [...unit.matchAll(/^Environment=([A-Z_]+)=1$/gm)].map(([, variable]) =>
      variable!
    );
    assertEquals(named.filter((variable) => !known.has(variable)), []);
    assertMatch(unit, /^ExecStart=\/usr\/local\/bin\/deno run --no-prompt --allow-ffi /m);
  }
});
