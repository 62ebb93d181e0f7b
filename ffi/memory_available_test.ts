import { assert, assertEquals } from "@std/assert";
import { availableMemory, readAvailable } from "./memory_available.ts";

const MIB = 2 ** 20;
const MACHINE = { "/proc/meminfo": "MemTotal:       1048576 kB\nMemFree: 1 kB\n" };
const V1_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" +
  "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
  "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";
const V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const UNBOUNDED_V1 = "9223372036854771712\n";

/** What is found in the files of a machine with 1 GiB. */
function available(files: Readonly<Record<string, string>>): string | undefined {
  const all: Readonly<Record<string, string>> = { ...MACHINE, ...files };
  const found = readAvailable((path) => all[path]);
  return found && `${found.bytes / MIB} by ${found.boundBy}`;
}

Deno.test("availableMemory: a machine without control groups bounds its processes alone", () => {
  assertEquals(available({}), "1024 by this machine");
  assertEquals(readAvailable(() => undefined), undefined);
});

Deno.test("availableMemory: version 1: the least of the groups around the process", () => {
  const memory = "/sys/fs/cgroup/memory";
  const files = {
    "/proc/self/cgroup": "5:devices:/\n4:memory:/jobs/a:b\n1:cpu:/cpu\n0::/\n",
    "/proc/self/mountinfo": V1_MOUNT,
    [`${memory}/memory.limit_in_bytes`]: UNBOUNDED_V1,
    [`${memory}/jobs/memory.limit_in_bytes`]: `${300 * MIB}\n`,
    [`${memory}/jobs/a:b/memory.limit_in_bytes`]: `${500 * MIB}\n`,
  };
  assertEquals(available(files), "300 by the cgroup /jobs");
  const unbounded = { ...files, [`${memory}/jobs/memory.limit_in_bytes`]: UNBOUNDED_V1 };
  assertEquals(available(unbounded), "500 by the cgroup /jobs/a:b");
});

Deno.test("availableMemory: version 2: what is refused, and what slows down", () => {
  const files = {
    "/proc/self/cgroup": "0::/user/job\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/user/job/memory.max": `${400 * MIB}\n`,
    "/sys/fs/cgroup/user/job/memory.high": "max\n",
    "/sys/fs/cgroup/user/memory.max": "max\n",
    "/sys/fs/cgroup/user/memory.high": `${200 * MIB}\n`,
  };
  assertEquals(available(files), "200 by the cgroup /user");
  const one = { ...files, "/sys/fs/cgroup/user/memory.high": "max\n" };
  assertEquals(available(one), "400 by the cgroup /user/job");
});

Deno.test("availableMemory: in a container the group is seen at the mount, whatever its path", () => {
  const limit = { "/sys/fs/cgroup/memory/memory.limit_in_bytes": `${64 * MIB}\n` };
  const inside = V1_MOUNT.replace("0:32 / ", "0:32 /docker/7 ");
  for (const group of ["/docker/7", "/", "/elsewhere"]) {
    const files = { "/proc/self/cgroup": `4:memory:${group}\n`, "/proc/self/mountinfo": inside };
    assertEquals(available({ ...files, ...limit }), "64 by the cgroup /");
  }
  const below = {
    "/proc/self/cgroup": "4:memory:/docker/7/one\n",
    "/proc/self/mountinfo": inside.replace("/sys/fs/cgroup/memory", "/sys/fs/c\\040g"),
    "/sys/fs/c g/one/memory.limit_in_bytes": `${32 * MIB}\n`,
  };
  assertEquals(available(below), "32 by the cgroup /one");
});

Deno.test("availableMemory: this machine has some, and no permission to read files is needed", {
  permissions: { ffi: true },
}, () => {
  const found = availableMemory();
  assert(found !== undefined && found.bytes > 64 * MIB && found.boundBy !== "");
});

Deno.test("availableMemory: nothing is known where native code is not permitted", {
  permissions: { ffi: false },
}, () => {
  assertEquals(availableMemory(), undefined);
});
